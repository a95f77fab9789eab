#include "hooks/libvirt/pci_slot.h"

#include "backend/base/error.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace tapline::libvirt {
namespace {

using nlohmann::json;

json host_bridge(int device) {
    return {{"qdev_id", ""}, {"class_info", {{"class", 0x0600}}}, {"id", {{"device", device}}}};
}

json port(const std::string& id, const json& cards) {
    return {{"qdev_id", id},
            {"class_info", {{"class", 0x0604}}},
            {"id", {{"device", 0x000c}}},
            {"pci_bridge", {{"bus", json::object()}, {"devices", cards}}}};
}

json buses_of(const json& devices) {
    return json::array({{{"bus", 0}, {"devices", devices}}});
}

const json q35 = host_bridge(0x29c0);
const json card = {{"qdev_id", "net0"}, {"class_info", {{"class", 0x0200}}}};

TEST(PciSlot, TheLastFreePortIsTaken) {
    const json devices = {q35, port("pci.1", json::array({card})), port("pci.2", json::array()),
                          port("pci.3", json::array()), card};
    EXPECT_EQ(free_pci_bus(buses_of(devices)), "pci.3");
}

TEST(PciSlot, APortWithoutCardsMayHaveNoList) {
    json empty = port("pci.1", json::array());
    empty["pci_bridge"].erase("devices");
    EXPECT_EQ(free_pci_bus(buses_of({q35, empty})), "pci.1");
}

TEST(PciSlot, TheMachineTypePcChoosesItself) {
    EXPECT_EQ(free_pci_bus(buses_of({host_bridge(0x1237), card})), std::nullopt);
}

TEST(PciSlot, AGuestWithoutAFreePortIsRefusedWithTheWayToMendIt) {
    try {
        free_pci_bus(buses_of({q35, port("pci.1", json::array({card}))}));
        FAIL() << "a port was found";
    } catch (const Error& error) {
        for (const char* model : {"pcie-root-port", "machine type pc model='pci-bridge'"}) {
            EXPECT_NE(std::string(error.what()).find(model), std::string::npos) << error.what();
        }
    }
}

TEST(PciSlot, WhatQemuWouldNotSayIsRefused) {
    for (const json& buses : {json(), json::array(), buses_of(json::array()), buses_of({card}),
                              buses_of({q35, json::array()})}) {
        EXPECT_THROW(free_pci_bus(buses), Error) << buses;
    }
}

} // namespace
} // namespace tapline::libvirt
