#include "hooks/libvirt/attach.h"

#include "backend/base/error.h"
#include "backend/base/signals_held_back.h"
#include "hooks/libvirt/made_device.h"
#include "hooks/libvirt/passed_card.h"
#include "hooks/libvirt/plug_lock.h"
#include "hooks/libvirt/undo.h"

#include <fmt/format.h>

namespace tapline::libvirt {
namespace {

std::string attachment_of(const MacAddress& mac, const Domain& domain) {
    return fmt::format("attach {} to domain '{}'", mac.text(), domain.name());
}

MacAddress choose_mac(Netlink& netlink, const InterfaceText& text) {
    if (text.mac) {
        return MacAddress::parse(*text.mac);
    }
    if (text.mode == to_text(MacvlanMode::passthru) || text.kind == to_text(DeviceKind::ipvtap)) {
        const auto parent = netlink.link(text.parent.value());
        if (parent && parent->mac) {
            return *parent->mac;
        }
    }
    return MacAddress::random();
}

xml::Domain describe(const Domain& domain, Description description) {
    return xml::Domain::parse(domain.xml(description), domain.name());
}

void check_place(const Domain& domain, Description description, const Attachment& attachment) {
    const xml::Domain described = describe(domain, description);
    const std::string operation = attachment_of(attachment.mac, domain);
    if (attachment.plan.socket && !described.shared_memory) {
        throw Error({.operation = operation,
                     .cause = "a pump cannot reach the guest's memory, which is not shared",
                     .next_step = "add <memoryBacking><source type='memfd'/><access "
                                  "mode='shared'/></memoryBacking> to the domain and start it "
                                  "anew, or use --to handoff"});
    }
    for (const xml::Interface& interface : described.interfaces) {
        if (interface.mac == attachment.mac) {
            throw Error(
                {.operation = operation,
                 .cause = fmt::format("an interface of {} has that address", to_text(description)),
                 .next_step = "choose another --mac"});
        }
    }
}

// Metadata of an interface that is not there is refused by all that read it, one without metadata
// is just not ours: so the interface comes first, and goes last.
void attach_to(const Domain& domain, Description description, const Attachment& attachment,
               Undo& undo) {
    domain.attach(description, description == Description::live ? attachment.plugged_xml
                                                                : attachment.interface_xml);
    undo.add([&domain, description, &attachment] {
        domain.detach(description, attachment.interface_xml);
    });
    add_entry(domain, description, interface_entries, attachment.mac, attachment.metadata_xml);
    undo.add([&domain, description, &attachment] {
        remove_entry(domain, description, interface_entries, attachment.mac);
    });
}

void attach_by_libvirt(const Domain& domain, const Attachment& attachment, const Affected& affected,
                       Undo& undo) {
    if (affected.config) { // First: it can be undone without the guest.
        attach_to(domain, Description::config, attachment, undo);
    }
    if (affected.live) {
        const std::string uuid = domain.uuid();
        make_device(uuid, attachment.plan);
        undo.add([uuid, &attachment] { remove_device(uuid, *attachment.plan.spec.name()); });
        attach_to(domain, Description::live, attachment, undo);
    }
}

void attach_by_hand(const Domain& domain, const Attachment& attachment, const NewCard& card,
                    Undo& undo) {
    const std::string uuid = domain.uuid();
    const InterfaceSpec& spec = attachment.plan.spec;
    make_device(uuid, attachment.plan);
    undo.add([uuid, &attachment] { remove_device(uuid, *attachment.plan.spec.name()); });
    const Card described{.way = Way::fds,
                         .mac = attachment.mac,
                         .id = "",
                         .device = *spec.name(),
                         .queue_pairs = spec.queue_pairs(),
                         .policy = {.multicast = spec.multicast(), .trusts_mac = card.trusts_mac}};
    add_entry(domain, Description::live, passed_entries, attachment.mac, to_metadata(described));
    undo.add([&domain, &attachment] {
        remove_entry(domain, Description::live, passed_entries, attachment.mac);
    });
    Netlink netlink = Netlink::open();
    pass_card(domain, find_macvtap(netlink, *spec.name()),
              {.mac = attachment.mac, .queue_pairs = spec.queue_pairs(), .mtu = spec.mtu()});
}

} // namespace

Affected Affected::choose(const Domain& domain, bool live, bool config) {
    const bool active = domain.is_active();
    if (!live && !config) {
        return {.live = active, .config = !active};
    }
    if (live && !active) {
        throw Error({.operation = fmt::format("change domain '{}'", domain.name()),
                     .cause = "it does not run",
                     .next_step = "leave out --live"});
    }
    if (config && !domain.is_persistent()) {
        throw Error({.operation = fmt::format("change domain '{}'", domain.name()),
                     .cause = "it is transient and has no next start",
                     .next_step = "leave out --config"});
    }
    return {.live = live, .config = config};
}

AttachedCard attach(const Domain& domain, const NewCard& card, const Affected& affected) {
    const auto lock = lock_plugging(domain);
    Netlink netlink = Netlink::open();
    InterfaceText text = card.text;
    text.mac = choose_mac(netlink, text).text();
    const Attachment attachment =
        Attachment::of({.kind = card.way == Way::pump ? xml::InterfaceKind::vhostuser
                                                      : xml::InterfaceKind::ethernet,
                        .text = text,
                        .trusts_mac = card.trusts_mac,
                        .pump_options = card.pump_options});
    if (affected.config) {
        check_place(domain, Description::config, attachment);
    }
    if (affected.live) {
        check_place(domain, Description::live, attachment);
        domain.reach_qemu(); // To wait for one that hangs later is to wait with a card half made.
    }
    const SignalsHeldBack held_back; // Delivered when the card is in order, or gone.
    Undo undo;
    if (card.way == Way::fds) {
        attach_by_hand(domain, attachment, card, undo);
    } else {
        attach_by_libvirt(domain, attachment, affected, undo);
    }
    undo.forget();
    return {.mac = attachment.mac, .device = *attachment.plan.spec.name()};
}

} // namespace tapline::libvirt
