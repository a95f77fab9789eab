// What QEMU answers: of a guest's card, which the guest has its part in, and of its PCI buses.
#include "backend/base/error.h"
#include "hooks/libvirt/monitor.h"
#include "hooks/libvirt/pci_slot.h"
#include "hooks/libvirt/rx_filter.h"
#include "tests/fuzz/input.h"

#include <algorithm>
#include <string>

namespace tapline::libvirt {
namespace {

using fuzz::require;

void read_filter(const std::string& text) {
    (void)parse_qmp_event(text);
    try {
        const RxFilter guest = parse_rx_filter(parse_qmp_answer("ask", text));
        require(!guest.mac || !guest.mac->is_group());
        require(std::ranges::all_of(guest.groups, &MacAddress::is_group));
        const DeviceFilter device{.mac = MacAddress({2}), .all_groups = false, .groups = {}};
        const FilterChange change =
            plan_change(guest, {.multicast = MulticastPolicy::joined, .trusts_mac = true}, device);
        require(change.join == guest.groups && change.leave.empty());
        require(change.all_groups.value_or(false) == guest.wants_all_groups);
    } catch (const Error&) {}
}

void look_for_place(const std::string& text) {
    try {
        const auto bus = free_pci_bus(parse_qmp_answer("ask", text));
        require(!bus || !bus->empty());
    } catch (const Error&) {}
}

} // namespace
} // namespace tapline::libvirt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    tapline::libvirt::read_filter({data, data + size});
    tapline::libvirt::look_for_place({data, data + size});
    return 0;
}
