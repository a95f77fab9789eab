#include "hooks/interface_life.h"

#include "backend/base/log.h"
#include "backend/reconcile.h"
#include "backend/station.h"
#include "backend/tap_node.h"
#include "hooks/pump_service.h"
#include "hooks/qemu_user.h"
#include "hooks/socket_folder.h"

#include <algorithm>
#include <exception>

namespace tapline::hooks {
namespace {

// Of that name and made by tapline, whole or halfway, and nobody's own.
std::optional<MacvtapDevice> find_device(Netlink& netlink, const std::string& name) {
    const std::vector<MacvtapDevice> devices = list_macvtaps(netlink);
    const auto found = std::ranges::find(devices, name, &MacvtapDevice::name);
    if (found == devices.end()) {
        return std::nullopt;
    }
    const auto record = read_device_record(found->record_id.value_or(found->group));
    const bool known = found->ours() || record;
    const bool owned = record && record->state == RecordState::owned;
    return known && !owned ? std::optional(*found) : std::nullopt;
}

void remove_device(Netlink& netlink, const std::string& name, uint32_t record_id) {
    const auto device = find_device(netlink, name);
    if (!device) {
        if (record_id != 0) { // Somebody else deleted it.
            erase_device_record(record_id);
        }
        return;
    }
    TapNode::of(*device).withdraw(); // Later nobody could tell whose it was.
    delete_macvtap(netlink, *device);
    erase_device_record(device->record_id.value_or(device->group));
}

// libvirt opens the node as root; QEMU's user has it, too, as libvirt sees to for devices of its
// own.
void hand_out_node(const MacvtapDevice& device, const InterfaceSpec& spec) {
    const TapNode node = TapNode::of(device);
    node.publish();
    node.set_owner(spec.owner() ? *spec.owner() : find_qemu_user());
    if (spec.node_mode()) {
        node.set_mode(*spec.node_mode());
    }
}

// Kept last: until then it goes with whatever fails.
void make_device(Netlink& netlink, const InterfacePlan& plan) {
    OwnedMacvtap owned = create_over_leftovers(netlink, plan.spec);
    const TapNode node = TapNode::of(owned.device());
    try {
        if (!plan.socket) {
            hand_out_node(owned.device(), plan.spec);
        }
        owned.keep();
    } catch (...) {
        node.withdraw();
        throw;
    }
}

void start_pump(const InterfacePlan& plan) {
    make_socket_folder(); // For all but prepare(), which looks before anything is made.
    PumpService(*plan.spec.name()).start(plan.pump_options);
}

// What failed before is what matters.
void take_down_quietly(Netlink& netlink, const MadeInterface& made) {
    try {
        take_down(netlink, made);
    } catch (const std::exception& error) {
        log(LogLevel::warning, "{}", error.what());
    }
}

} // namespace

MadeInterface MadeInterface::of(const InterfacePlan& plan) {
    return {.device = *plan.spec.name(),
            .socket = plan.socket.value_or(""),
            .description = plan.description};
}

MadeInterface make_interface(Netlink& netlink, const InterfacePlan& plan) {
    MadeInterface made = MadeInterface::of(plan);
    const bool found = has_device(netlink, made.device);
    if (!found) {
        take_down(netlink, made); // A pump without its device.
        make_device(netlink, plan);
    } else if (!plan.socket) { // May have lost its node to a release that was killed.
        hand_out_node(find_our_macvtap(netlink, made.device, "look at"), plan.spec);
    }
    try {
        if (plan.socket) {
            start_pump(plan);
        }
        made.record_id = find_our_macvtap(netlink, made.device, "look at").record_id.value_or(0);
    } catch (...) {
        if (!found) {
            take_down_quietly(netlink, made);
        }
        throw;
    }
    return made;
}

// One that was abandoned is not finished, whatever it looks like.
bool has_device(Netlink& netlink, const std::string& name) {
    const auto device = find_device(netlink, name);
    if (!device || !device->ours()) {
        return false;
    }
    const auto record = read_device_record(*device->record_id);
    return !record || record->state == RecordState::kept;
}

bool has_planned_device(Netlink& netlink, const InterfacePlan& plan) {
    const auto parent = netlink.link(plan.spec.parent());
    const auto link = netlink.link(*plan.spec.name());
    return parent && link && stands_on(*link, parent->index) && has_device(netlink, link->name);
}

void take_down(Netlink& netlink, const MadeInterface& made) {
    std::exception_ptr failure;
    if (!made.socket.empty()) {
        try {
            PumpService(made.device).stop();
        } catch (const std::exception&) {
            failure = std::current_exception();
        }
    }
    remove_device(netlink, made.device, made.record_id);
    if (failure) {
        std::rethrow_exception(failure);
    }
}

void remove_interface(Netlink& netlink, const MadeInterface& made) {
    remove_socket(made.socket);
    take_down(netlink, made);
}

} // namespace tapline::hooks
