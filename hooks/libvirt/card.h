// One network card of a running guest that is, or could be, on a device of Tapline's kind.
#pragma once

#include "hooks/libvirt/metadata_entries.h"
#include "hooks/libvirt/rx_filter.h"
#include "xml/domain.h"
#include "xml/metadata.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tapline::libvirt {

enum class Way {
    direct,  // libvirt made the device.
    handoff, // libvirt opened the queues of a device of ours.
    pump,    // A pump serves it.
    fds,     // We opened the queues and passed them to QEMU; libvirt does not know.
};
const char* to_text(Way way);

struct Card {
    Way way{};
    MacAddress mac;     // As it began; the guest may have changed it.
    std::string id;     // QEMU's name for it; empty where libvirt tells none.
    std::string device; // On the host; empty where libvirt does not tell.
    uint16_t queue_pairs = 1;
    FilterPolicy policy;
    bool tells_filter = false;    // QEMU knows what the guest asks of it: of virtio alone.
    bool libvirt_follows = false; // libvirt itself sees to the filter.
};

// Those with an <interface>. direct is the policy for devices that libvirt makes.
std::vector<Card> cards_of(const xml::Domain& domain, MulticastPolicy direct);
// All that a running guest has. Throws Error.
std::vector<Card> running_cards(const Domain& domain, MulticastPolicy direct);

// The entries of our metadata, one for each card that has an <interface>; and those of what we
// passed to QEMU, which is gone with the running guest.
constexpr MetadataPlace interface_entries{"tapline", xml::metadata_namespace, "interfaces"};
constexpr MetadataPlace passed_entries{"tapline-fds", "urn:tapline:fds:1", "cards"};

std::string to_metadata(const Card& passed);
// Throws Error.
std::vector<Card> passed_cards(const std::optional<std::string>& metadata);

} // namespace tapline::libvirt
