#include "backend/interface_spec.h"

#include "backend/base/error.h"
#include "backend/base/number.h"

#include <fmt/format.h>
#include <glib.h>
#include <grp.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <system_error>
#include <utility>

namespace tapline {
namespace {

constexpr uint32_t mtu_min = 68; // RFC 791; below it IPv4 is off.
constexpr uint32_t mtu_max = 65535;
constexpr uint16_t queue_pairs_max = 256; // MAX_TAP_QUEUES, linux/if_tap.h
constexpr uint32_t queue_length_max = 65536;
constexpr uint32_t broadcast_queue_length_max = 65536;
constexpr uint32_t unchanged_id = UINT32_MAX; // To chown(2).
constexpr uint32_t id_max = unchanged_id - 1;
constexpr mode_t node_mode_max = 0777;

template <typename Value, size_t n> using Names = std::array<std::pair<Value, const char*>, n>;

constexpr Names<MacvlanMode, 5> mode_names = {{{MacvlanMode::bridge, "bridge"},
                                               {MacvlanMode::vepa, "vepa"},
                                               {MacvlanMode::private_mode, "private"},
                                               {MacvlanMode::passthru, "passthru"},
                                               {MacvlanMode::source, "source"}}};
constexpr Names<DeviceKind, 2> kind_names = {
    {{DeviceKind::macvtap, "macvtap"}, {DeviceKind::ipvtap, "ipvtap"}}};
constexpr Names<IpvlanLayer, 3> layer_names = {
    {{IpvlanLayer::l2, "l2"}, {IpvlanLayer::l3, "l3"}, {IpvlanLayer::l3s, "l3s"}}};
constexpr Names<MulticastPolicy, 3> multicast_names = {{{MulticastPolicy::all, "all"},
                                                        {MulticastPolicy::joined, "joined"},
                                                        {MulticastPolicy::none, "none"}}};

template <typename Value, size_t n> const char* name_of(const Names<Value, n>& names, Value value) {
    const auto found = std::ranges::find(names, value, &std::pair<Value, const char*>::first);
    return found == names.end() ? "unknown" : found->second;
}

template <typename Value, size_t n>
Value value_of(const Names<Value, n>& names, const char* what, const std::string& text) {
    std::string choices;
    for (const auto& [value, name] : names) {
        if (text == name) {
            return value;
        }
        choices += choices.empty() ? name : fmt::format(", {}", name);
    }
    throw Error({.operation = fmt::format("read {} '{}'", what, text),
                 .cause = fmt::format("not one of {}", choices)});
}

void check_device_name(const std::string& name) {
    check_interface_name(name);
    if (name.starts_with('-')) {
        throw Error({.operation = fmt::format("use device name '{}'", name),
                     .cause = "commands would take it for an option"});
    }
    for (const char* prefix : reserved_name_prefixes) {
        if (name.starts_with(prefix)) {
            throw Error({.operation = fmt::format("use device name '{}'", name),
                         .cause = fmt::format("libvirt takes names that begin with '{}' as its own",
                                              prefix),
                         .next_step = "choose another, for example tl0"});
        }
    }
}

// Names come first, then numbers: a container's users may be unknown to the host.
template <typename Id>
Id parse_id(const std::string& owner, const char* what, const std::string& text) {
    Id id = 0;
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, id);
    if (failure != std::errc{} || stop != end || id > id_max) {
        throw Error({.operation = fmt::format("read owner '{}'", owner),
                     .cause = fmt::format("no {} '{}'", what, text),
                     .next_step = "write USER or USER:GROUP, names or numbers"});
    }
    return id;
}

Owner parse_owner(const std::string& text) {
    const auto colon = text.find(':');
    const std::string user = text.substr(0, colon);
    const passwd* account = getpwnam(user.c_str());
    Owner owner{.user = account != nullptr ? account->pw_uid : parse_id<uid_t>(text, "user", user),
                .group = account != nullptr ? account->pw_gid : unchanged_id};
    if (colon != std::string::npos) {
        const std::string name = text.substr(colon + 1);
        const group* entry = getgrnam(name.c_str());
        owner.group = entry != nullptr ? entry->gr_gid : parse_id<gid_t>(text, "group", name);
    }
    return owner;
}

// As chmod(1) takes it: octal, permissions only.
mode_t parse_node_mode(const std::string& text) {
    mode_t mode = 0;
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, mode, 8);
    if (failure != std::errc{} || stop != end || mode > node_mode_max) {
        throw Error({.operation = fmt::format("read node mode '{}'", text),
                     .cause = "not an octal number from 0 to 777",
                     .next_step = "for example 660"});
    }
    return mode;
}

// What does not go together, whatever the values.
void check_combination(const InterfaceText& text, MacvlanMode mode, DeviceKind kind) {
    const auto refuse = [&](const char* option, const std::string& cause) {
        throw Error({.operation = fmt::format("use --{}", option),
                     .cause = cause,
                     .next_step = "leave it out"});
    };
    const bool ipvtap = kind == DeviceKind::ipvtap;
    if (ipvtap && (mode == MacvlanMode::passthru || mode == MacvlanMode::source)) {
        refuse("mode", fmt::format("an ipvtap has no mode {}", to_text(mode)));
    }
    if (text.layer && !ipvtap) {
        refuse("layer", "only an ipvtap has one");
    }
    if (text.mac && (ipvtap || mode == MacvlanMode::passthru)) {
        refuse("mac", fmt::format("a device {} has its parent's address",
                                  ipvtap ? "of kind ipvtap" : "in mode passthru"));
    }
    if (text.broadcast_queue_length && ipvtap) {
        refuse("broadcast-queue-length", "an ipvtap has no such queue");
    }
    if (text.nopromisc && mode != MacvlanMode::passthru) {
        refuse("nopromisc", fmt::format("mode {} leaves its parent as it is", to_text(mode)));
    }
    if (!text.allow.empty() && mode != MacvlanMode::source) {
        refuse("allow", fmt::format("mode {} has no list of allowed MAC addresses", to_text(mode)));
    }
}

} // namespace

const char* to_text(MacvlanMode mode) {
    return name_of(mode_names, mode);
}

const char* to_text(DeviceKind kind) {
    return name_of(kind_names, kind);
}

const char* to_text(IpvlanLayer layer) {
    return name_of(layer_names, layer);
}

uint16_t ipvlan_flags(MacvlanMode mode) {
    return mode == MacvlanMode::private_mode ? IPVLAN_F_PRIVATE
           : mode == MacvlanMode::vepa       ? IPVLAN_F_VEPA
                                             : 0;
}

const char* to_text(MulticastPolicy policy) {
    return name_of(multicast_names, policy);
}

// The kernel's own rule is dev_valid_name() in net/core/dev.c; '%' asks it for a numbered name.
void check_interface_name(const std::string& text) {
    const char* cause = nullptr;
    if (text.empty() || text.size() >= IFNAMSIZ) {
        cause = "a name has 1 to 15 characters";
    } else if (text == "." || text == "..") {
        cause = "a directory's name cannot be an interface's";
    } else if (text == "all" || text == "default") {
        cause = "the kernel keeps settings of all interfaces under this name";
    } else if (g_utf8_validate(text.c_str(), -1, nullptr) == FALSE) {
        cause = "a name is text in UTF-8";
    } else if (std::ranges::any_of(text, [](unsigned char c) {
                   return c == '/' || c == ':' || c == '%' || std::isspace(c) || std::iscntrl(c);
               })) {
        cause = "a name holds no '/', ':', '%', blank or control character";
    }
    if (cause != nullptr) {
        throw Error({.operation = fmt::format("use interface name '{}'", text), .cause = cause});
    }
}

MulticastPolicy parse_multicast_policy(const std::string& text) {
    return value_of(multicast_names, "multicast policy", text);
}

uint16_t parse_queue_pairs(const std::string& text) {
    return parse_number<uint16_t>("number of queues", text, 1, queue_pairs_max);
}

std::vector<MacAddress> parse_allowed_macs(const std::vector<std::string>& texts) {
    std::vector<MacAddress> macs;
    for (const std::string& text : texts) {
        const MacAddress mac = MacAddress::parse(text);
        if (std::ranges::find(macs, mac) != macs.end()) {
            throw Error({.operation = fmt::format("allow MAC address '{}'", text),
                         .cause = "it is named twice"});
        }
        macs.push_back(mac);
    }
    if (macs.size() > allowed_macs_max) {
        throw Error({.operation = fmt::format("allow {} MAC addresses", macs.size()),
                     .cause = fmt::format("a device takes at most {}", allowed_macs_max)});
    }
    return macs;
}

bool InterfaceText::describes_device() const {
    return name || mac || mode || kind || layer || mtu || queue_length || broadcast_queue_length ||
           multicast || owner || node_mode || !allow.empty() || nopromisc;
}

InterfaceSpec InterfaceSpec::parse(const InterfaceText& text) {
    if (!text.parent) {
        throw Error({.operation = "read interface", .cause = "no parent interface was named"});
    }
    check_interface_name(*text.parent);
    InterfaceSpec spec(*text.parent);
    if (text.name) {
        check_device_name(*text.name);
        spec.name_ = text.name;
    }
    if (text.mode) {
        spec.mode_ = value_of(mode_names, "mode", *text.mode);
    }
    if (text.kind) {
        spec.kind_ = value_of(kind_names, "kind", *text.kind);
    }
    check_combination(text, spec.mode_, spec.kind_);
    if (text.layer) {
        spec.layer_ = value_of(layer_names, "layer", *text.layer);
    }
    if (text.nopromisc) {
        spec.promiscuity_ = Promiscuity::unchanged;
    }
    if (text.mac) {
        spec.mac_ = MacAddress::parse(*text.mac);
    }
    if (text.mtu) {
        spec.mtu_ = parse_number<uint32_t>("MTU", *text.mtu, mtu_min, mtu_max);
    }
    if (text.queues) {
        spec.queue_pairs_ = parse_queue_pairs(*text.queues);
    }
    if (text.queue_length) {
        spec.queue_length_ =
            parse_number<uint32_t>("queue length", *text.queue_length, 1, queue_length_max);
    }
    if (text.broadcast_queue_length) {
        spec.broadcast_queue_length_ = parse_number<uint32_t>(
            "broadcast queue length", *text.broadcast_queue_length, 1, broadcast_queue_length_max);
    }
    if (text.multicast) {
        spec.multicast_ = parse_multicast_policy(*text.multicast);
    }
    if (text.owner) {
        spec.owner_ = parse_owner(*text.owner);
    }
    if (text.node_mode) {
        spec.node_mode_ = parse_node_mode(*text.node_mode);
    }
    spec.allowed_macs_ = parse_allowed_macs(text.allow);
    return spec;
}

} // namespace tapline
