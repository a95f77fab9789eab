#include "tests/fakes/guest.h"

#include "tests/fakes/packed_driver_ring.h"
#include "vhost/features.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace tapline::fakes {
namespace {

constexpr size_t ram_bytes = 64u << 20; // Sparse: only what is touched takes memory.
constexpr size_t transmit_areas = 64;
constexpr size_t transmit_area_bytes = 68 << 10;
constexpr size_t num_buffers_offset = 10;

using std::chrono::steady_clock;

std::unique_ptr<DriverRing> make_ring(GuestRam& ram, const Guest::Options& options) {
    const bool event_index = has(options.features, vhost::Feature::event_idx);
    if (has(options.features, vhost::Feature::ring_packed)) {
        return std::make_unique<PackedDriverRing>(ram, options.ring_size, event_index);
    }
    return std::make_unique<SplitDriverRing>(ram, options.ring_size, event_index);
}

} // namespace

Guest::Guest(FrontEnd front_end, const Options& options)
    : options_(options), ram_(ram_bytes), front_end_(std::move(front_end)) {
    for (uint16_t pair = 0; pair < options.queue_pairs; ++pair) {
        add_lane(2u * pair, options.receive_buffers, options.receive_buffer_bytes);
        add_lane(2u * pair + 1, transmit_areas, transmit_area_bytes);
        offer_buffers(receiver(pair));
    }
    shake_hands();
    start_rings();
}

void Guest::reconnect(FrontEnd front_end) {
    for (uint16_t pair = 0; pair < options_.queue_pairs; ++pair) {
        take_back_sent(transmitter(pair));
    }
    front_end_ = std::move(front_end);
    shake_hands();
    start_rings();
}

void Guest::shake_hands() {
    using enum vhost::Request;
    const uint64_t offered = front_end_.ask(get_features);
    if ((options_.features & ~offered) != 0) {
        throw std::runtime_error("the back end does not offer what the test needs");
    }
    front_end_.ask(get_protocol_features);
    const bool translates = has(options_.features, vhost::Feature::access_platform);
    front_end_.send(set_protocol_features,
                    vhost::protocol_feature_mq | vhost::protocol_feature_reply_ack |
                        (translates ? vhost::protocol_feature_backend_req : 0));
    front_end_.send(set_owner);
    front_end_.send(set_features, options_.features | bit(vhost::Feature::protocol_features));
    if (translates) {
        iommu_ = std::make_unique<Iommu>(front_end_.fd(), ram_);
        front_end_.send(static_cast<uint32_t>(set_backend_req_fd), {},
                        {.fds = {iommu_->device_end()}});
    }
    front_end_.share(ram_,
                     translates ? FrontEnd::Addresses::io_virtual : FrontEnd::Addresses::physical);
}

void Guest::start_rings() {
    for (Lane& lane : lanes_) {
        lane.events =
            front_end_.start_ring(lane.index, *lane.ring, lane.ring->base(), options_.events);
        front_end_.enable_ring(lane.index, true);
    }
    if (iommu_) { // Unasked, as QEMU does: that tells the device that there is an IOMMU.
        for (const Lane& lane : lanes_) {
            const uint64_t used = ram_.guest_address(lane.ring->addresses(0).used);
            front_end_.send(vhost::Request::iotlb_msg,
                            Iommu::update(ram_, used / Iommu::page * Iommu::page, Iommu::page));
        }
    }
    front_end_.ask(vhost::Request::get_features); // An answer: all of the above was handled.
}

void Guest::add_lane(uint32_t index, size_t areas, size_t area_bytes) {
    Lane lane{.index = index,
              .ring = make_ring(ram_, options_),
              .events = {},
              .free_areas = {},
              .area_of = std::vector<uint64_t>(options_.ring_size)};
    for (size_t i = 0; i < areas; ++i) {
        lane.free_areas.push_back(ram_.allocate(area_bytes, 64));
    }
    lanes_.push_back(std::move(lane));
}

void Guest::offer_buffers(Lane& lane) {
    while (!lane.free_areas.empty()) {
        const Buffer buffer{.address = lane.free_areas.back(),
                            .length = options_.receive_buffer_bytes,
                            .writable = true};
        const auto head = lane.ring->add(std::span(&buffer, 1), options_.layout);
        if (!head) {
            return;
        }
        lane.area_of[*head] = buffer.address;
        lane.free_areas.pop_back();
    }
}

void Guest::kick(Lane& lane) {
    if (lane.ring->kick_is_wanted() && lane.events.kick) {
        eventfd_write(lane.events.kick.get(), 1);
    }
}

std::optional<Used> Guest::wait_used(Lane& lane, steady_clock::time_point until) {
    while (true) {
        if (auto used = lane.ring->next_used()) {
            return used;
        }
        if (options_.events == FrontEnd::Events::polling && steady_clock::now() < until) {
            std::this_thread::yield();
            continue;
        }
        if (!lane.ring->enable_calls()) {
            continue;
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until - steady_clock::now());
        if (left.count() <= 0 || !wait_readable(lane.events.call.get(), left)) {
            return lane.ring->next_used();
        }
        eventfd_t drained = 0;
        eventfd_read(lane.events.call.get(), &drained);
    }
}

void Guest::take_back_sent(Lane& lane) {
    while (const auto used = lane.ring->next_used()) {
        lane.free_areas.push_back(lane.area_of.at(used->id));
    }
}

bool Guest::send(std::span<const std::byte> frame, std::span<const size_t> parts, uint16_t pair) {
    Lane& lane = transmitter(pair);
    take_back_sent(lane);
    if (lane.free_areas.empty()) {
        return false;
    }
    const uint64_t area = lane.free_areas.back();
    std::memcpy(ram_.at(area), frame.data(), frame.size());
    std::vector<Buffer> chain;
    size_t offset = 0;
    for (const size_t part : parts) {
        chain.push_back(
            {.address = area + offset, .length = static_cast<uint32_t>(part), .writable = false});
        offset += part;
    }
    chain.push_back({.address = area + offset,
                     .length = static_cast<uint32_t>(frame.size() - offset),
                     .writable = false});
    const auto head = lane.ring->add(chain, options_.layout);
    if (!head) {
        return false;
    }
    lane.free_areas.pop_back();
    lane.area_of[*head] = area;
    kick(lane);
    return true;
}

void Guest::flush(uint16_t pair) {
    Lane& lane = transmitter(pair);
    const auto until = steady_clock::now() + deadline;
    while (lane.free_areas.size() < transmit_areas) {
        const auto used = wait_used(lane, until);
        if (!used) {
            throw std::runtime_error("frames sent were not given back");
        }
        lane.free_areas.push_back(lane.area_of.at(used->id));
    }
}

std::optional<Frame> Guest::receive(std::chrono::milliseconds limit, uint16_t pair) {
    Lane& lane = receiver(pair);
    const auto until = steady_clock::now() + limit;
    Frame frame;
    uint16_t buffers_left = 1;
    do {
        const auto used = wait_used(lane, until);
        if (!used) {
            return std::nullopt;
        }
        const uint64_t area = lane.area_of.at(used->id);
        const std::span<const std::byte> bytes = ram_.at(area, used->length);
        if (frame.empty() && has(options_.features, vhost::Feature::mrg_rxbuf)) {
            std::memcpy(&buffers_left, bytes.data() + num_buffers_offset, sizeof buffers_left);
        }
        frame.insert(frame.end(), bytes.begin(), bytes.end());
        lane.free_areas.push_back(area);
    } while (--buffers_left > 0);
    offer_buffers(lane);
    kick(lane);
    return frame;
}

} // namespace tapline::fakes
