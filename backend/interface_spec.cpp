#include "backend/interface_spec.h"

#include "backend/base/error.h"
#include "backend/base/number.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/if.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace tapline {
namespace {

constexpr uint32_t mtu_min = 68; // RFC 791; below it IPv4 is off.
constexpr uint32_t mtu_max = 65535;
constexpr uint16_t queue_pairs_max = 256; // MAX_TAP_QUEUES, linux/if_tap.h
constexpr uint32_t queue_length_max = 65536;

template <typename Value, size_t n> using Names = std::array<std::pair<Value, const char*>, n>;

constexpr Names<MacvlanMode, 5> mode_names = {{{MacvlanMode::bridge, "bridge"},
                                               {MacvlanMode::vepa, "vepa"},
                                               {MacvlanMode::private_mode, "private"},
                                               {MacvlanMode::passthru, "passthru"},
                                               {MacvlanMode::source, "source"}}};
constexpr Names<DeviceKind, 2> kind_names = {
    {{DeviceKind::macvtap, "macvtap"}, {DeviceKind::ipvtap, "ipvtap"}}};
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
    for (const char* prefix : {"vnet", "vif", "macvtap", "macvlan"}) {
        if (name.starts_with(prefix)) {
            throw Error({.operation = fmt::format("use device name '{}'", name),
                         .cause = fmt::format("libvirt takes names that begin with '{}' as its own",
                                              prefix),
                         .next_step = "choose another, for example tl0"});
        }
    }
}

Owner parse_owner(const std::string& text) {
    const auto colon = text.find(':');
    const std::string user = text.substr(0, colon);
    const passwd* account = getpwnam(user.c_str());
    if (account == nullptr) {
        throw Error({.operation = fmt::format("read owner '{}'", text),
                     .cause = fmt::format("no user '{}'", user),
                     .next_step = "write USER or USER:GROUP"});
    }
    Owner owner{.user = account->pw_uid, .group = account->pw_gid};
    if (colon != std::string::npos) {
        const std::string group_name = text.substr(colon + 1);
        const group* entry = getgrnam(group_name.c_str());
        if (entry == nullptr) {
            throw Error({.operation = fmt::format("read owner '{}'", text),
                         .cause = fmt::format("no group '{}'", group_name),
                         .next_step = "write USER or USER:GROUP"});
        }
        owner.group = entry->gr_gid;
    }
    return owner;
}

} // namespace

const char* to_text(MacvlanMode mode) {
    return name_of(mode_names, mode);
}

const char* to_text(DeviceKind kind) {
    return name_of(kind_names, kind);
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
    } else if (std::ranges::any_of(text, [](unsigned char c) {
                   return c == '/' || c == ':' || c == '%' || std::isspace(c) || std::iscntrl(c);
               })) {
        cause = "a name holds no '/', ':', '%', blank or control character";
    }
    if (cause != nullptr) {
        throw Error({.operation = fmt::format("use interface name '{}'", text), .cause = cause});
    }
}

InterfaceSpec InterfaceSpec::parse(const InterfaceText& text) {
    if (!text.parent) {
        throw Error({.operation = "read interface", .cause = "no parent interface was named"});
    }
    check_interface_name(*text.parent);
    InterfaceSpec spec(*text.parent,
                       text.mac ? MacAddress::parse(*text.mac) : MacAddress::random());
    if (text.name) {
        check_device_name(*text.name);
        spec.name_ = text.name;
    }
    if (text.mode) {
        spec.mode_ = value_of(mode_names, "mode", *text.mode);
    }
    if (text.mac && spec.mode_ == MacvlanMode::passthru) {
        throw Error({.operation = fmt::format("give MAC address '{}'", *text.mac),
                     .cause = "a device in mode passthru has its parent's address",
                     .next_step = "leave out --mac"});
    }
    if (text.kind) {
        spec.kind_ = value_of(kind_names, "kind", *text.kind);
    }
    if (text.mtu) {
        spec.mtu_ = parse_number<uint32_t>("MTU", *text.mtu, mtu_min, mtu_max);
    }
    if (text.queues) {
        spec.queue_pairs_ =
            parse_number<uint16_t>("number of queues", *text.queues, 1, queue_pairs_max);
    }
    if (text.queue_length) {
        spec.queue_length_ =
            parse_number<uint32_t>("queue length", *text.queue_length, 1, queue_length_max);
    }
    if (text.multicast) {
        spec.multicast_ = value_of(multicast_names, "multicast policy", *text.multicast);
    }
    if (text.owner) {
        spec.owner_ = parse_owner(*text.owner);
    }
    for (const std::string& mac : text.allow) {
        spec.allowed_macs_.push_back(MacAddress::parse(mac));
    }
    if (!spec.allowed_macs_.empty() && spec.mode_ != MacvlanMode::source) {
        throw Error({.operation = "read allowed MAC addresses",
                     .cause = fmt::format("mode {} has no list of them", to_text(spec.mode_)),
                     .next_step = "leave out --allow"});
    }
    return spec;
}

} // namespace tapline
