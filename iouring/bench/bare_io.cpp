#include "iouring/bench/bare_io.h"

#include "iouring/bench/cpu_time.h"
#include "iouring/counters.h"

#include <linux/if_tun.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace tapline::bench {
namespace {

// Sleeps end by themselves, so that the end needs no descriptor of its own.
constexpr std::chrono::milliseconds nap{20};

unsigned offloads_for(const Mix& mix) {
    return mix.segmented() ? TUN_F_CSUM | TUN_F_TSO4 : TUN_F_CSUM;
}

} // namespace

struct BareIo::Queue {
    std::unique_ptr<Ring> ring;
    // As many as a guest's rings have, so that as little stays in the caches.
    std::array<std::vector<std::byte>, guest_ring_size> frames; // To send, with their headers.
    std::array<std::vector<std::byte>, guest_ring_size> buffers;
    Counter sent{};
    Counter bytes_sent{};
    Counter received{};
    Counter bytes_received{};
    std::thread thread;

    // Of the turn.
    size_t next_frame = 0;
    size_t next_buffer = 0;
    unsigned reads_wanted = 1;
    bool readable = true;
    bool polled = false;

    void make_frames(const StationPlan& plan, uint16_t flow);
    void send() noexcept;
    unsigned receive(const StationPlan& plan) noexcept;
    void reap(unsigned reads) noexcept;
};

void BareIo::Queue::make_frames(const StationPlan& plan, uint16_t flow) {
    for (size_t i = 0; i < frames.size(); ++i) {
        const size_t bytes = plan.mix.sizes[i % plan.mix.sizes.size()];
        const VirtioNetHeader header = vnet_header_of(bytes);
        const auto* head = static_cast<const std::byte*>(static_cast<const void*>(&header));
        frames[i] = make_frame(bytes, plan.path, flow);
        frames[i].insert(frames[i].begin(), head, head + sizeof header);
        buffers[i].resize(vnet_header_bytes + plan.mix.largest() + 1);
    }
}

void BareIo::Queue::send() noexcept {
    uint64_t bytes = 0;
    for (uint16_t i = 0; i < frames_per_turn_max; ++i) {
        std::vector<std::byte>& frame = frames[next_frame++ % frames.size()];
        set_number(frame.data() + vnet_header_bytes, static_cast<uint32_t>(sent.value() + i));
        const iovec part{.iov_base = frame.data(), .iov_len = frame.size()};
        ring->write_tap({&part, 1}, i);
        bytes += frame.size() - vnet_header_bytes;
    }
    sent.add(frames_per_turn_max);
    bytes_sent.add(bytes);
}

unsigned BareIo::Queue::receive(const StationPlan& plan) noexcept {
    if (!plan.receives || !readable) {
        return 0;
    }
    for (uint16_t i = 0; i < reads_wanted; ++i) {
        std::vector<std::byte>& buffer = buffers[next_buffer++ % buffers.size()];
        const iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
        ring->read_tap({&part, 1}, i);
    }
    return reads_wanted;
}

void BareIo::Queue::reap(unsigned reads) noexcept {
    unsigned frames_read = 0;
    ring->for_each_completion([&](Tag tag, int32_t result, bool) {
        if (tag.kind() == TagKind::tap_readable) {
            readable = true;
            polled = false;
        } else if (tag.kind() == TagKind::tap_read && result > 0) {
            ++frames_read;
            bytes_received.add(static_cast<uint64_t>(result) - vnet_header_bytes);
        } else if (tag.kind() == TagKind::tap_write) { // It failed.
            sent.add(~uint64_t{0});
        }
    });
    received.add(frames_read);
    if (reads > 0) {
        readable = frames_read == reads;
        reads_wanted = readable ? std::min(2 * reads, frames_per_turn_max) : frames_read + 1;
    }
}

BareIo::BareIo(std::vector<TapQueue> taps, const StationPlan& plan)
    : plan_(plan), taps_(std::move(taps)) {
    for (TapQueue& tap : taps_) {
        tap.configure(VnetHeader::v1, offloads_for(plan.mix));
        auto& queue = *queues_.emplace_back(std::make_unique<Queue>());
        queue.ring = Ring::create(tap.fd());
        queue.make_frames(plan, static_cast<uint16_t>(queues_.size()));
    }
    for (auto& queue : queues_) {
        queue->thread = std::thread([this, &queue = *queue] { run(queue); });
    }
}

BareIo::~BareIo() {
    ends_ = true;
    for (auto& queue : queues_) {
        queue->thread.join();
    }
}

void BareIo::run(Queue& queue) noexcept {
    queue.ring->enable();
    while (!ends_) {
        const bool sends = sends_;
        if (sends) {
            queue.send();
        }
        const unsigned reads = queue.receive(plan_);
        if (plan_.receives && !queue.readable && !queue.polled) {
            queue.ring->poll_tap();
            queue.polled = true;
        }
        if (sends || reads > 0) {
            queue.ring->submit();
        } else {
            queue.ring->submit_and_wait(nap);
        }
        queue.reap(reads);
    }
}

uint64_t BareIo::received() const noexcept {
    uint64_t sum = 0;
    for (const auto& queue : queues_) {
        sum += queue->received.value();
    }
    return sum;
}

Station::Counts BareIo::counts() {
    Counts all;
    for (const auto& queue : queues_) {
        all.sent += queue->sent.value();
        all.bytes_sent += queue->bytes_sent.value();
        all.received += queue->received.value();
        all.bytes_received += queue->bytes_received.value();
    }
    all.times_full = all.sent; // It has always another one.
    return all;
}

uint64_t BareIo::cpu_ns() const {
    uint64_t sum = 0;
    for (const auto& queue : queues_) {
        sum += cpu_ns_of_thread(queue->thread.native_handle());
    }
    return sum;
}

} // namespace tapline::bench
