#include "xml/forms.h"

#include "xml/metadata.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace tapline::xml {
namespace {

constexpr auto not_direct = "libvirt has it for other types of interfaces only";

// Elements of libvirt 9.0 (domaincommon.rng, interface-options) first, then an attribute. Those
// that are listed although they stay are those one might expect elsewhere.
constexpr std::array rules{
    Rule{"source", Fate::moves, Fate::moves, Fate::moves, ""},
    Rule{"target", Fate::stays, Fate::moves, Fate::moves, ""},
    Rule{"driver", Fate::stays, Fate::stays, Fate::stays, ""}, // Also its name: vhost or not.
    Rule{"teaming", Fate::stays, Fate::stays, Fate::stays, ""},
    Rule{"model", Fate::moves, Fate::stays, Fate::stays,
         "a pump serves cards of model virtio only"},
    Rule{"bandwidth", Fate::moves, Fate::moves, Fate::moves,
         "only libvirt's networks know a floor"},
    Rule{"tune", Fate::refused, Fate::stays, Fate::stays, "a pump never waits for a send buffer"},
    Rule{"backend", Fate::refused, Fate::stays, Fate::stays,
         "a pump needs neither a tap nor a vhost file"},
    Rule{"virtualport", Fate::refused, Fate::refused, Fate::stays,
         "only libvirt negotiates with a switch"},
    Rule{"vlan", Fate::refused, Fate::refused, Fate::stays,
         "a macvtap adds no tag; take a VLAN as parent"},
    Rule{"filterref", Fate::refused, Fate::refused, Fate::stays,
         "no netfilter hook sees a macvtap's frames"},
    Rule{"mtu", Fate::stays, Fate::stays, Fate::refused,
         not_direct}, // Our device takes it from there.
    Rule{"port", Fate::refused, Fate::refused, Fate::refused, not_direct},
    Rule{"coalesce", Fate::refused, Fate::refused, Fate::refused, not_direct},
    Rule{"ip", Fate::refused, Fate::refused, Fate::refused, not_direct},
    Rule{"route", Fate::refused, Fate::refused, Fate::refused, not_direct},
    Rule{"portForward", Fate::refused, Fate::refused, Fate::refused, not_direct},
    Rule{"script", Fate::refused, Fate::refused, Fate::refused, not_direct},
    Rule{"downscript", Fate::refused, Fate::refused, Fate::refused, not_direct},
    Rule{"backenddomain", Fate::refused, Fate::refused, Fate::refused, not_direct},

    Rule{"peak", Fate::refused, Fate::stays, Fate::stays,
         "a pump limits bursts by their size only"},
};

} // namespace

Fate Rule::fate(InterfaceKind to) const {
    switch (to) {
    case InterfaceKind::vhostuser:
        return on_pump;
    case InterfaceKind::ethernet:
        return on_handoff;
    case InterfaceKind::direct:
        return on_direct;
    }
    return Fate::stays;
}

Rule rule_of(std::string_view name) {
    const auto* found = std::ranges::find(rules, name, &Rule::name);
    return found == rules.end() ? Rule{name, Fate::stays, Fate::stays, Fate::stays, ""} : *found;
}

std::vector<std::string_view> droppable_names() {
    std::vector<std::string_view> names;
    for (const Rule& rule : rules) {
        if (*rule.reason != '\0') {
            names.push_back(rule.name);
        }
    }
    std::ranges::copy_if(setting_names(), std::back_inserter(names), [&](std::string_view name) {
        return std::ranges::find(names, name) == names.end();
    });
    return names;
}

bool is_droppable(std::string_view name) {
    const auto names = droppable_names();
    return std::ranges::find(names, name) != names.end();
}

} // namespace tapline::xml
