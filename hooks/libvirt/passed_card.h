// A card that libvirt does not know of: we open the queues of its device, and /dev/vhost-net where
// there is one, and pass them to QEMU ourselves.
#pragma once

#include "backend/macvtap_device.h"
#include "hooks/libvirt/connection.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tapline::libvirt {

// QEMU's name for the card; it begins with "tapline-", as no name that libvirt gives.
std::string passed_card_id(const MacAddress& mac);

struct PassedCard {
    MacAddress mac; // The guest's, and what the card is named after.
    uint16_t queue_pairs = 1;
    std::optional<uint32_t> mtu; // Absent: the guest is told none.
};

// Throws Error, with QEMU as it was before.
void pass_card(const Domain& domain, const MacvtapDevice& device, const PassedCard& card);

// Asks the guest for the card, waits until it gave it up, and removes what is behind it. Goes on
// where some of it is gone already. Throws Error, also where the guest does not give it up in time.
// Needs use_main_loop().
void take_card_back(const Connection& connection, const Domain& domain, const MacAddress& mac,
                    std::chrono::milliseconds limit);

// What is told of a guest that keeps a card.
[[noreturn]] void throw_not_given_up(const Domain& domain, const MacAddress& mac,
                                     std::chrono::milliseconds limit);

} // namespace tapline::libvirt
