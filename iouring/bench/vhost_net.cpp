#include "iouring/bench/vhost_net.h"

#include "backend/base/error.h"
#include "iouring/bench/cpu_time.h"
#include "iouring/offload.h"
#include "vhost/features.h"

#include <fcntl.h>
#include <fmt/format.h>
#define VIRTIO_RING_NO_LEGACY // Its inline functions are no C++.
#include <linux/vhost.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace tapline::bench {
namespace {

constexpr const char* node = "/dev/vhost-net";

template <typename Argument>
void ask(int fd, unsigned long request, Argument argument, const char* what) {
    if (ioctl(fd, request, argument) < 0) {
        throw Error::from_errno(fmt::format("{} of vhost-net", what));
    }
}

// Threads of this process that the kernel made for vhost (since Linux 6.4).
std::vector<pid_t> find_workers() {
    std::vector<pid_t> found;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::getline(std::ifstream(task.path() / "comm"), name);
        if (name.starts_with("vhost-")) {
            const std::string text = task.path().filename();
            pid_t tid = 0;
            std::from_chars(text.data(), text.data() + text.size(), tid);
            found.push_back(tid);
        }
    }
    return found;
}

void start_ring(int device, unsigned index, const SharedRing& shared, int tap) {
    const vhost::VringAddresses at = shared.ring.addresses(index);
    const vhost_vring_state size{.index = index, .num = shared.ring.size()};
    const vhost_vring_state base{.index = index, .num = shared.ring.base()};
    vhost_vring_addr addresses{};
    addresses.index = index;
    addresses.desc_user_addr = at.descriptors;
    addresses.used_user_addr = at.used;
    addresses.avail_user_addr = at.available;
    const vhost_vring_file kick{.index = index, .fd = shared.kick};
    const vhost_vring_file call{.index = index, .fd = shared.call};
    const vhost_vring_file backend{.index = index, .fd = tap};
    ask(device, VHOST_SET_VRING_NUM, &size, "set the ring size");
    ask(device, VHOST_SET_VRING_BASE, &base, "set the ring base");
    ask(device, VHOST_SET_VRING_ADDR, &addresses, "set the ring addresses");
    ask(device, VHOST_SET_VRING_KICK, &kick, "set the kick descriptor");
    ask(device, VHOST_SET_VRING_CALL, &call, "set the call descriptor");
    ask(device, VHOST_NET_SET_BACKEND, &backend, "set the tap queue");
}

} // namespace

std::string VhostNet::obstacle(RingLayout layout) {
    if (layout == RingLayout::packed) {
        return "the kernel's vhost-net has split rings only";
    }
    return std::filesystem::exists(node) ? "" : "there is no /dev/vhost-net: modprobe vhost_net";
}

VhostNet::VhostNet(std::vector<TapQueue> taps) : taps_(std::move(taps)) {
    for (size_t i = 0; i < taps_.size(); ++i) {
        auto& device = devices_.emplace_back(::open(node, O_RDWR | O_CLOEXEC));
        if (!device) {
            throw Error::from_errno(fmt::format("open {}", node));
        }
        ask(device.get(), VHOST_SET_OWNER, nullptr, "become the owner");
    }
}

uint64_t VhostNet::offered_features() {
    uint64_t features = 0;
    ask(devices_.front().get(), VHOST_GET_FEATURES, &features, "get the features");
    return features | features_for_offloads(taps_.front().supported_offloads()) |
           bit(vhost::Feature::mq); // The tap has the offloads, and a device each pair.
}

void VhostNet::start(uint64_t features, const GuestRam& ram, std::span<const SharedRing> rings) {
    const vhost::MemoryRegion region = ram.region();
    std::vector<std::byte> bytes(sizeof(vhost_memory) + sizeof(vhost_memory_region));
    auto* memory = static_cast<vhost_memory*>(static_cast<void*>(bytes.data()));
    memory->nregions = 1;
    memory->regions[0].guest_phys_addr = region.guest_address;
    memory->regions[0].memory_size = region.size;
    memory->regions[0].userspace_addr = region.user_address;
    for (size_t pair = 0; pair < devices_.size(); ++pair) {
        const int device = devices_[pair].get();
        taps_[pair].configure(VnetHeader::v1, offloads_for_features(features));
        uint64_t offered = 0;
        ask(device, VHOST_GET_FEATURES, &offered, "get the features");
        const uint64_t used = features & offered;
        ask(device, VHOST_SET_FEATURES, &used, "set the features");
        ask(device, VHOST_SET_MEM_TABLE, memory, "set the memory");
        for (unsigned index = 0; index < 2; ++index) {
            start_ring(device, index, rings[2 * pair + index], taps_[pair].fd());
        }
    }
    workers_ = find_workers();
}

uint64_t VhostNet::cpu_ns() const {
    uint64_t sum = 0;
    for (const pid_t worker : workers_) {
        sum += cpu_ns_of_task(worker);
    }
    return sum;
}

} // namespace tapline::bench
