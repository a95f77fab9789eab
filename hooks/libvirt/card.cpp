#include "hooks/libvirt/card.h"

#include "hooks/libvirt/passed_card.h"
#include "xml/document.h"

#include <fmt/format.h>

namespace tapline::libvirt {
namespace {

Card describe(const xml::Interface& interface) {
    return {.mac = *interface.mac,
            .id = interface.alias.value_or(""),
            .device = interface.target.value_or(""),
            .queue_pairs = interface.queue_pairs,
            .tells_filter = interface.model.value_or("").starts_with("virtio")};
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

Card read_passed(const xmlNode* element) {
    const auto text = [&](const char* name) { return xml::attribute(element, name).value_or(""); };
    Card card{.way = Way::fds,
              .mac = MacAddress::parse(text("mac")),
              .id = "",
              .device = text("device"),
              .queue_pairs = parse_queue_pairs(text("queues")),
              .tells_filter = true};
    card.id = passed_card_id(card.mac);
    check_interface_name(card.device);
    card.policy.multicast = parse_multicast_policy(text("multicast"));
    card.policy.trusts_mac = text("trust-guest-rx-filters") == "yes";
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

std::vector<Card> running_cards(const Domain& domain, MulticastPolicy direct) {
    const auto described = xml::Domain::parse(domain.xml(Description::live), domain.name());
    std::vector<Card> cards = cards_of(described, direct);
    const auto passed = passed_cards(domain.metadata(Description::live, passed_entries.uri));
    cards.insert(cards.end(), passed.begin(), passed.end());
    return cards;
}

std::string to_metadata(const Card& passed) {
    return element_text("card",
                        {{"mac", passed.mac.text()},
                         {"device", passed.device},
                         {"queues", fmt::to_string(passed.queue_pairs)},
                         {"multicast", to_text(passed.policy.multicast)},
                         {"trust-guest-rx-filters", passed.policy.trusts_mac ? "yes" : "no"}});
}

std::vector<Card> passed_cards(const std::optional<std::string>& metadata) {
    std::vector<Card> cards;
    if (!metadata) {
        return cards;
    }
    const auto document = xml::Document::parse(*metadata, "our metadata");
    for (const xmlNode* element : xml::children(document.root(), "card")) {
        cards.push_back(document.read_at(element, [&] { return read_passed(element); }));
    }
    return cards;
}

} // namespace tapline::libvirt
