#include "hooks/libvirt/card.h"

namespace tapline::libvirt {
namespace {

Card describe(const xml::Interface& interface) {
    return {.mac = *interface.mac,
            .id = interface.alias.value_or(""),
            .device = interface.target.value_or(""),
            .queue_pairs = interface.queue_pairs};
}

Card describe_direct(const xml::Interface& interface, MulticastPolicy policy) {
    Card card = describe(interface);
    card.way = Way::direct;
    card.policy = {.multicast = policy};
    card.libvirt_follows = interface.trust_guest_rx_filters;
    return card;
}

Card describe_ours(const xml::Interface& interface) {
    const InterfaceSpec spec = InterfaceSpec::parse(*interface.device);
    Card card = describe(interface);
    card.way = interface.kind == xml::InterfaceKind::vhostuser ? Way::pump : Way::handoff;
    card.device = spec.name().value_or("");
    card.policy = {.multicast = spec.multicast(),
                   .trusts_mac =
                       interface.trust_guest_rx_filters && spec.kind() == DeviceKind::macvtap};
    return card;
}

} // namespace

const char* to_text(Way way) {
    switch (way) {
    case Way::direct:
        return "direct";
    case Way::handoff:
        return "handoff";
    case Way::pump:
        return "pump";
    case Way::fds:
        return "fds";
    }
    return "";
}

std::vector<Card> cards_of(const xml::Domain& domain, MulticastPolicy direct) {
    std::vector<Card> cards;
    for (const xml::Interface& interface : domain.interfaces) {
        if (!interface.mac) {
            continue; // libvirt gives every card one before its guest runs.
        }
        if (interface.kind == xml::InterfaceKind::direct) {
            cards.push_back(describe_direct(interface, direct));
        } else if (interface.device) {
            cards.push_back(describe_ours(interface));
        }
    }
    return cards;
}

} // namespace tapline::libvirt
