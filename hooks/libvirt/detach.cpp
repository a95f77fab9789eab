#include "backend/base/error.h"
#include "backend/base/signals_held_back.h"
#include "hooks/libvirt/attach.h"
#include "hooks/libvirt/made_device.h"
#include "hooks/libvirt/passed_card.h"
#include "hooks/libvirt/plug_lock.h"
#include "hooks/libvirt/undo.h"
#include "xml/document.h"
#include "xml/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace tapline::libvirt {
namespace {

using namespace std::chrono_literals;

constexpr auto pause_between_looks = 50ms;

std::string detachment_of(const MacAddress& mac, const Domain& domain) {
    return fmt::format("detach {} from domain '{}'", mac.text(), domain.name());
}

struct FoundInterface {
    std::string text;   // The <interface> as libvirt has it.
    std::string target; // Name of its device.
};

// Only elements are read: metadata of another card may be damaged, and this one shall go all the
// same.
std::optional<FoundInterface> find_interface(const Domain& domain, Description description,
                                             const MacAddress& mac) {
    const auto document = xml::Document::parse(domain.xml(description), domain.name());
    for (const xmlNode* element :
         xml::children(xml::child(document.root(), "devices"), "interface")) {
        if (xml::attribute(xml::child(element, "mac"), "address") == mac.text()) {
            return FoundInterface{
                .text = element_text(element),
                .target = xml::attribute(xml::child(element, "target"), "dev").value_or("")};
        }
    }
    return std::nullopt;
}

// Takes the interface out of a description, and its entry. The entry goes first: metadata of an
// interface that is not there is refused by all that read it.
void detach_from(const Domain& domain, Description description, const MacAddress& mac,
                 const std::string& interface, Undo& undo) {
    const auto entries =
        MetadataEntries::parse(domain.metadata(description, interface_entries.uri));
    if (const std::string* entry = entries.find(mac)) {
        remove_entry(domain, description, interface_entries, mac);
        undo.add([&domain, description, mac, text = *entry] {
            add_entry(domain, description, interface_entries, mac, text);
        });
    }
    try {
        domain.detach(description, interface);
    } catch (const Error&) {
        // A guest that was asked before may have let go of it since we looked.
        if (find_interface(domain, description, mac)) {
            throw;
        }
    }
}

// libvirt waits some seconds itself, and then no longer.
void wait_until_gone(const Domain& domain, const MacAddress& mac, std::chrono::milliseconds limit,
                     const SignalsHeldBack& held_back) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (find_interface(domain, Description::live, mac)) {
        if (held_back.any()) {
            throw Error({.operation = detachment_of(mac, domain), .cause = "a signal ended it"});
        }
        if (std::chrono::steady_clock::now() >= end) {
            throw_not_given_up(domain, mac, limit);
        }
        std::this_thread::sleep_for(pause_between_looks);
    }
}

// Each part that is there is taken away, whatever became of the others: the rest of what was killed
// halfway, or of a card that somebody else has detached.
bool detach_live(const Connection& connection, const Domain& domain, const MacAddress& mac,
                 std::chrono::milliseconds limit) {
    const std::string uuid = domain.uuid();
    const auto interface = find_interface(domain, Description::live, mac);
    const auto device = find_recorded_device(
        uuid, mac, interface ? interface->target : xml::default_device_name(mac));
    if (!device) {
        if (interface) {
            throw Error({.operation = detachment_of(mac, domain),
                         .cause = "its device is not one that Tapline made",
                         .next_step = "use `virsh detach-interface`"});
        }
        return false;
    }
    const auto passed =
        MetadataEntries::parse(domain.metadata(Description::live, passed_entries.uri));
    if (passed.find(mac) != nullptr) {
        take_card_back(connection, domain, mac, limit);
        remove_entry(domain, Description::live, passed_entries, mac);
    } else if (interface) {
        const SignalsHeldBack held_back; // Delivered when the entry is gone for good, or back.
        Undo undo;
        detach_from(domain, Description::live, mac, interface->text, undo);
        wait_until_gone(domain, mac, limit, held_back);
        undo.forget();
    } else {
        remove_entry(domain, Description::live, interface_entries, mac);
    }
    remove_device(uuid, *device);
    return true;
}

bool detach_config(const Domain& domain, const MacAddress& mac) {
    const auto entries =
        MetadataEntries::parse(domain.metadata(Description::config, interface_entries.uri));
    const auto interface = find_interface(domain, Description::config, mac);
    if (entries.find(mac) == nullptr) {
        return false;
    }
    Undo undo;
    if (interface) {
        detach_from(domain, Description::config, mac, interface->text, undo);
    } else {
        remove_entry(domain, Description::config, interface_entries, mac);
    }
    undo.forget();
    return true;
}

} // namespace

void detach(const Connection& connection, const Domain& domain, const MacAddress& mac,
            const Affected& affected, std::chrono::milliseconds limit) {
    const auto lock = lock_plugging(domain);
    // The guest may not let its card go: then nothing else shall have changed.
    bool found = affected.live && detach_live(connection, domain, mac, limit);
    found |= affected.config && detach_config(domain, mac);
    if (!found) {
        throw Error({.operation = detachment_of(mac, domain),
                     .cause = "it has no interface of that address",
                     .next_step = "see `tapline libvirt list`"});
    }
}

} // namespace tapline::libvirt
