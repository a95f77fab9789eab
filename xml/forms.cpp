#include "xml/forms.h"

#include "xml/metadata.h"

#include <algorithm>
#include <array>

namespace tapline::xml {
namespace {

constexpr auto not_direct = "libvirt has it for other types of interfaces only";

// Elements of libvirt 9.0 (domaincommon.rng, interface-options) first, then attributes. Those that
// are listed although they stay are those one might expect elsewhere.
constexpr std::array rules{
    Rule{"source", Fate::moves, Fate::moves, ""},
    Rule{"target", Fate::stays, Fate::moves, ""},
    Rule{"driver", Fate::stays, Fate::stays, ""}, // Its name, the kernel's vhost or not, also.
    Rule{"mtu", Fate::stays, Fate::stays, ""},    // The card's; our device takes it from there.
    Rule{"teaming", Fate::stays, Fate::stays, ""},
    Rule{"model", Fate::moves, Fate::stays, "a pump serves cards of model virtio only"},
    Rule{"bandwidth", Fate::moves, Fate::moves, "only libvirt's networks know a floor"},
    Rule{"tune", Fate::refused, Fate::stays, "a pump never waits for a send buffer"},
    Rule{"backend", Fate::refused, Fate::stays, "a pump needs neither a tap nor a vhost file"},
    Rule{"virtualport", Fate::refused, Fate::refused, "only libvirt negotiates with a switch"},
    Rule{"vlan", Fate::refused, Fate::refused, "a macvtap adds no tag; take a VLAN as parent"},
    Rule{"filterref", Fate::refused, Fate::refused, "no netfilter hook sees a macvtap's frames"},
    Rule{"port", Fate::refused, Fate::refused, not_direct},
    Rule{"coalesce", Fate::refused, Fate::refused, not_direct},
    Rule{"ip", Fate::refused, Fate::refused, not_direct},
    Rule{"route", Fate::refused, Fate::refused, not_direct},
    Rule{"portForward", Fate::refused, Fate::refused, not_direct},
    Rule{"script", Fate::refused, Fate::refused, not_direct},
    Rule{"downscript", Fate::refused, Fate::refused, not_direct},
    Rule{"backenddomain", Fate::refused, Fate::refused, not_direct},

    Rule{"iommu", Fate::refused, Fate::stays, "a pump knows no IOMMU of the guest"},
    Rule{"peak", Fate::refused, Fate::stays, "a pump limits bursts by their size only"},
};

} // namespace

Fate Rule::fate(InterfaceKind to) const {
    switch (to) {
    case InterfaceKind::vhostuser:
        return on_pump;
    case InterfaceKind::ethernet:
        return on_handoff;
    case InterfaceKind::direct:
        break;
    }
    return Fate::stays;
}

Rule rule_of(std::string_view name) {
    const auto* found = std::ranges::find(rules, name, &Rule::name);
    return found == rules.end() ? Rule{name, Fate::stays, Fate::stays, ""} : *found;
}

std::vector<std::string_view> droppable_names() {
    std::vector<std::string_view> names;
    for (const Rule& rule : rules) {
        if (*rule.reason != '\0') {
            names.push_back(rule.name);
        }
    }
    const auto settings = setting_names();
    names.insert(names.end(), settings.begin(), settings.end());
    return names;
}

bool is_droppable(std::string_view name) {
    const auto names = droppable_names();
    return std::ranges::find(names, name) != names.end();
}

} // namespace tapline::xml
