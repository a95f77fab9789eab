#include "hooks/libvirt/passed_card.h"

#include "backend/base/error.h"
#include "backend/base/main_loop.h"
#include "backend/tap_queue.h"
#include "hooks/libvirt/monitor.h"
#include "hooks/libvirt/pci_slot.h"
#include "hooks/libvirt/undo.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace tapline::libvirt {
namespace {

using nlohmann::json;

constexpr auto vhost_path = "/dev/vhost-net";

std::string hex_of(const MacAddress& mac) {
    std::string text = mac.text();
    std::erase(text, ':');
    return text;
}

std::string netdev_id(const MacAddress& mac) {
    return "tapline-net-" + hex_of(mac);
}

void close_passed(const Domain& domain, const std::string& name) {
    try {
        ask_qemu(domain, "closefd", {{"fdname", name}});
    } catch (const Error&) {} // As it should, where netdev_add has taken it.
}

// Gives QEMU the descriptors under names, which netdev_add then takes. Returns the names.
class Passing {
public:
    Passing(const Domain& domain, const MacAddress& mac, Undo& undo)
        : domain_(domain), prefix_("tapline-" + hex_of(mac)), undo_(undo) {}

    void pass(const char* what, int fd, std::string& names) {
        const std::string name = fmt::format("{}-{}-{}", prefix_, what, count_++);
        ask_qemu(domain_, "getfd", {{"fdname", name}}, fd);
        undo_.add([&domain = domain_, name] { close_passed(domain, name); });
        names += (names.empty() ? "" : ":") + name;
    }

private:
    const Domain& domain_;
    std::string prefix_;
    Undo& undo_;
    unsigned count_ = 0;
};

// Absent where the kernel has no vhost-net, which costs speed and nothing else.
UniqueFd open_vhost() {
    UniqueFd vhost(open(vhost_path, O_RDWR | O_CLOEXEC));
    if (!vhost && errno != ENOENT && errno != ENODEV && errno != ENXIO) {
        throw Error::from_errno(fmt::format("open {}", vhost_path));
    }
    return vhost;
}

json card_arguments(const PassedCard& card, const std::optional<std::string>& bus) {
    json arguments = {{"driver", "virtio-net-pci"},
                      {"id", passed_card_id(card.mac)},
                      {"netdev", netdev_id(card.mac)},
                      {"mac", card.mac.text()},
                      {"romfile", ""}}; // To boot from a card it is too late.
    if (card.queue_pairs > 1) {
        arguments["mq"] = true;
        arguments["vectors"] = 2 * card.queue_pairs + 2; // Two a pair, control and configuration.
    }
    if (card.mtu) {
        arguments["host_mtu"] = *card.mtu;
    }
    if (bus) {
        arguments["bus"] = *bus;
    }
    return arguments;
}

bool has_card(const Domain& domain, const std::string& id) {
    const json cards = ask_qemu(domain, "qom-list", {{"path", "/machine/peripheral"}});
    return std::ranges::any_of(
        cards, [&](const json& card) { return card.is_object() && card.value("name", "") == id; });
}

// Whether the guest has a card to give up. One that was asked before and has not answered yet is
// waited for like any other; it may let go at any moment, so nobody looks first.
bool request_unplug(const Domain& domain, const std::string& id) {
    try {
        ask_qemu(domain, "device_del", {{"id", id}});
    } catch (const Error& error) {
        const std::string_view refusal = error.what();
        if (error.code() == ENODEV) {
            return false;
        }
        if (refusal.find("already in the process of unplug") == std::string_view::npos) {
            throw;
        }
    }
    return true;
}

// One card's DEVICE_DELETED, which comes when the guest has given it up.
class Deletion {
public:
    Deletion(const Connection& connection, const Domain& domain, std::string id)
        : connection_(connection), id_(std::move(id)) {
        callback_ = virConnectDomainQemuMonitorEventRegister(
            connection.get(), domain.get(), "DEVICE_DELETED", on_event, this, nullptr, 0);
        if (callback_ < 0) {
            refuse("listen to QEMU's events");
        }
    }
    Deletion(const Deletion&) = delete;
    Deletion& operator=(const Deletion&) = delete;
    ~Deletion() { (void)virConnectDomainQemuMonitorEventDeregister(connection_.get(), callback_); }

    bool wait(std::chrono::milliseconds limit) {
        const auto too_late = loop_.every(limit, [this] { loop_.quit(); });
        if (!seen_) {
            loop_.run();
        }
        return seen_;
    }

private:
    static void on_event(virConnectPtr, virDomainPtr, const char*, long long, unsigned,
                         const char* details, void* self) {
        auto* deletion = static_cast<Deletion*>(self);
        const json event = parse_qmp_event(details == nullptr ? "" : details);
        if (event.is_object() && event.value("device", json()) == deletion->id_) {
            deletion->seen_ = true;
            deletion->loop_.quit();
        }
    }

    MainLoop loop_;
    const Connection& connection_;
    std::string id_;
    bool seen_ = false;
    int callback_;
};

} // namespace

std::string passed_card_id(const MacAddress& mac) {
    return "tapline-" + hex_of(mac);
}

void throw_not_given_up(const Domain& domain, const MacAddress& mac,
                        std::chrono::milliseconds limit) {
    throw Error(
        {.operation = fmt::format("detach {} from domain '{}'", mac.text(), domain.name()),
         .cause = fmt::format("the guest has not given the card up in {} s", limit.count() / 1000),
         .next_step = "does its system run, and take PCI hot-plug? Detach again, or shut it down"});
}

void pass_card(const Domain& domain, const MacvtapDevice& device, const PassedCard& card) {
    // Before anything is changed: what can be refused for sure.
    const auto bus = free_pci_bus(ask_qemu(domain, "query-pci", {}));
    Undo undo;
    Passing passing(domain, card.mac, undo);
    json netdev = {{"type", "tap"}, {"id", netdev_id(card.mac)}};
    std::string queues;
    std::string vhosts;
    for (const TapQueue& queue : open_queues(device, card.queue_pairs)) {
        passing.pass("queue", queue.fd(), queues);
        if (const UniqueFd vhost = open_vhost()) {
            passing.pass("vhost", vhost.get(), vhosts);
        }
    }
    netdev["fds"] = queues;
    if (!vhosts.empty()) {
        netdev["vhost"] = true;
        netdev["vhostfds"] = vhosts;
    }
    ask_qemu(domain, "netdev_add", netdev);
    undo.add([&] { ask_qemu(domain, "netdev_del", {{"id", netdev_id(card.mac)}}); });
    ask_qemu(domain, "device_add", card_arguments(card, bus));
    undo.forget();
}

void take_card_back(const Connection& connection, const Domain& domain, const MacAddress& mac,
                    std::chrono::milliseconds limit) {
    const std::string id = passed_card_id(mac);
    Deletion deletion(connection, domain, id);
    if (request_unplug(domain, id) && !deletion.wait(limit) && has_card(domain, id)) {
        throw_not_given_up(domain, mac, limit);
    }
    try {
        ask_qemu(domain, "netdev_del", {{"id", netdev_id(mac)}});
    } catch (const Error& error) {
        if (error.code() != ENODEV) {
            throw;
        }
    }
}

} // namespace tapline::libvirt
