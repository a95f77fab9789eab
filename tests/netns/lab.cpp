#include "tests/netns/lab.h"

#include "tests/fakes/front_end.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace tapline::netns {
namespace {

constexpr size_t frame_room = 70000;
constexpr int socket_room = 64 << 20; // Bursts wait here; nothing shall be lost in the test itself.

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

void set(int fd, int level, int option, int value) {
    if (setsockopt(fd, level, option, &value, sizeof value) < 0) {
        fail("setsockopt");
    }
}

} // namespace

bool enter_private_network() {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        return false;
    }
    // /sys shows the network namespace it was mounted in. What is left in /run goes with it.
    return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0 &&
           mount("tmpfs", "/run", "tmpfs", 0, nullptr) == 0;
}

void run(const std::string& command) {
    if (std::system(command.c_str()) != 0) {
        throw std::runtime_error("failed: " + command);
    }
}

std::string output_of(const std::string& command) {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string output;
    std::array<char, 4096> some{};
    while (const size_t count = fread(some.data(), 1, some.size(), pipe.get())) {
        output.append(some.data(), count);
    }
    return output;
}

nlohmann::json links() {
    auto all = nlohmann::json::parse(output_of("ip -j -d link"));
    for (auto& each : all) {
        each.erase("operstate");
        auto& flags = each.at("flags");
        for (const char* carrier : {"LOWER_UP", "NO-CARRIER", "M-DOWN"}) {
            flags.erase(std::remove(flags.begin(), flags.end(), carrier), flags.end());
        }
    }
    return all;
}

nlohmann::json link(const std::string& name) {
    const nlohmann::json all = links();
    const auto found =
        std::ranges::find_if(all, [&](const auto& each) { return each.at("ifname") == name; });
    return found == all.end() ? nlohmann::json() : *found;
}

std::string test_socket() {
    return "/run/tapline-test.sock";
}

Wire::Wire(unsigned mtu) {
    run("ip link set lo up");
    run("for each in all default; do echo 1 > /proc/sys/net/ipv6/conf/$each/disable_ipv6; done");
    const std::string size = " mtu " + std::to_string(mtu);
    run("ip link add uplink" + size + " type veth peer name peer0" + size);
    run("ip link set uplink up && ip link set peer0 up");
}

Wire::~Wire() {
    run("ip link delete uplink");
}

Station::Station(const std::string& interface) : Station(interface, ETH_P_ALL) {}

Station::Station(const std::string& interface, uint16_t ethertype)
    : socket_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    set(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, 1);
    set(socket_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    set(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, socket_room);
    set(socket_.get(), SOL_SOCKET, SO_SNDBUFFORCE, socket_room);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ethertype);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
        fail("bind to " + interface);
    }
    packet_mreq promiscuous{};
    promiscuous.mr_ifindex = address.sll_ifindex;
    promiscuous.mr_type = PACKET_MR_PROMISC;
    if (setsockopt(socket_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
                   sizeof promiscuous) < 0) {
        fail("listen to all of " + interface);
    }
}

void Station::send(std::span<const std::byte> frame) {
    if (::send(socket_.get(), frame.data(), frame.size(), 0) !=
        static_cast<ssize_t>(frame.size())) {
        fail("send a frame of " + std::to_string(frame.size()) + " bytes");
    }
}

std::optional<std::vector<std::byte>> Station::receive(std::chrono::milliseconds limit) {
    if (!fakes::wait_readable(socket_.get(), limit)) {
        return std::nullopt;
    }
    std::vector<std::byte> frame(frame_room);
    const ssize_t bytes = recv(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT);
    if (bytes < 0) {
        fail("receive a frame");
    }
    frame.resize(static_cast<size_t>(bytes));
    return frame;
}

} // namespace tapline::netns
