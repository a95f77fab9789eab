#include "backend/device_filter.h"

#include "backend/base/error.h"
#include "backend/base/unique_fd.h"

#include <fmt/format.h>
#include <glib.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

namespace tapline {
namespace {

// Of the network namespace of this thread, as the netlink sockets are.
constexpr auto groups_path = "/proc/thread-self/net/dev_mcast";

std::string groups_of_all_devices() {
    std::ifstream file(groups_path);
    if (!file) {
        throw Error::from_errno(fmt::format("read {}", groups_path));
    }
    return {std::istreambuf_iterator<char>(file), {}};
}

// The list has any address that was added.
bool is_group(const std::string& digits) {
    return (g_ascii_xdigit_value(digits[1]) & 1) != 0;
}

[[noreturn]] void refuse(const MacvtapDevice& device, const std::string& what,
                         const Netlink::Refusal& refusal) {
    throw Error({.operation = fmt::format("{} of '{}'", what, device.name),
                 .cause = refusal.text,
                 .next_step = refusal.code == EPERM ? "run as root" : "",
                 .code = refusal.code});
}

void change_mac(Netlink& netlink, const MacvtapDevice& device, const MacAddress& mac) {
    LinkRequest request = LinkRequest::change(device.index);
    request.put(IFLA_ADDRESS, mac);
    if (const auto refusal = netlink.request(request).refusal) {
        refuse(device, fmt::format("make {} the MAC address", mac.text()), *refusal);
    }
}

void change_all_groups(Netlink& netlink, const MacvtapDevice& device, bool all) {
    const auto request =
        LinkRequest::change(device.index, all ? IFF_ALLMULTI : 0, all ? 0 : IFF_ALLMULTI);
    if (const auto refusal = netlink.request(request).refusal) {
        refuse(device, "change the multicast filter", *refusal);
    }
}

// Netlink has no request for it. These two mark what they join, and do it once, however often.
void change_group(const MacvtapDevice& device, unsigned long how, const MacAddress& group) {
    const UniqueFd any_socket(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    // It may have another name by now, and its name another device.
    (void)if_indextoname(static_cast<unsigned>(device.index), std::data(request.ifr_name));
    std::ranges::copy(group.bytes(), std::begin(request.ifr_hwaddr.sa_data));
    const bool leaves = how == SIOCDELMULTI;
    if (!any_socket || ioctl(any_socket.get(), how, &request) < 0) {
        if (leaves && errno == ENOENT) {
            return; // Somebody was faster.
        }
        throw Error::from_errno(fmt::format("{} multicast group {} with '{}'",
                                            leaves ? "leave" : "join", group.text(), device.name),
                                errno == EPERM ? "run as root" : "");
    }
}

} // namespace

// A line is index, name, users, whether by request, address: net/core/net-procfs.c, dev_mc_seq_show
std::set<MacAddress> parse_joined_groups(const std::string& text, int device_index) {
    std::set<MacAddress> groups;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        int index = 0;
        std::string name;
        long users = 0;
        int by_request = 0;
        std::string address;
        if (fields >> index >> name >> users >> by_request >> address && index == device_index &&
            by_request != 0 && address.size() == 12 && is_group(address)) {
            for (size_t i = 10; i > 0; i -= 2) {
                address.insert(i, 1, ':');
            }
            groups.insert(MacAddress::parse_group(address));
        }
    }
    return groups;
}

std::optional<DeviceFilter> read_device_filter(Netlink& netlink, const MacvtapDevice& device) {
    const auto link = netlink.link(device.index);
    if (!link || !link->mac) {
        return std::nullopt;
    }
    return DeviceFilter{.mac = *link->mac,
                        .all_groups = link->has_flag(IFF_ALLMULTI),
                        .groups = parse_joined_groups(groups_of_all_devices(), device.index)};
}

void change_device_filter(Netlink& netlink, const MacvtapDevice& device,
                          const FilterChange& change) {
    std::vector<std::function<void()>> steps; // What widens comes first: no frame shall be lost.
    for (const MacAddress& group : change.join) {
        steps.emplace_back([&] { change_group(device, SIOCADDMULTI, group); });
    }
    if (change.all_groups) {
        steps.emplace_back([&] { change_all_groups(netlink, device, *change.all_groups); });
    }
    for (const MacAddress& group : change.leave) {
        steps.emplace_back([&] { change_group(device, SIOCDELMULTI, group); });
    }
    if (change.mac) {
        steps.emplace_back([&] { change_mac(netlink, device, *change.mac); });
    }
    std::exception_ptr first;
    for (const auto& step : steps) {
        try {
            step();
        } catch (const Error&) {
            first = first ? first : std::current_exception();
        }
    }
    if (first) {
        std::rethrow_exception(first);
    }
}

} // namespace tapline
