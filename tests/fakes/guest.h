// A whole guest as a test needs it: memory, front end and the driver of queue pairs. Sends and
// receives frames; one thread.
#pragma once

#include "tests/fakes/driver_ring.h"
#include "tests/fakes/front_end.h"
#include "tests/fakes/guest_ram.h"
#include "tests/fakes/iommu.h"
#include "tests/fakes/split_driver_ring.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace tapline::fakes {

using Frame = std::vector<std::byte>; // With the virtio header.

class Guest {
public:
    struct Options {
        uint64_t features;
        uint16_t ring_size = 256;
        uint32_t receive_buffer_bytes = 1536;
        uint16_t receive_buffers = 256; // At most; the ring's size is the other limit.
        DriverRing::Layout layout = DriverRing::Layout::direct;
        uint16_t queue_pairs = 1;
        FrontEnd::Events events = FrontEnd::Events::descriptors;
    };

    // Shakes hands and starts all rings.
    Guest(FrontEnd front_end, const Options& options);

    // Hands a frame to the device, cut into parts of these sizes (the last takes the rest).
    // False where the transmit ring is full even after what was used is taken back.
    bool send(std::span<const std::byte> frame, std::span<const size_t> parts = {},
              uint16_t pair = 0);
    // Waits until all frames sent were given back.
    void flush(uint16_t pair = 0);

    // The next frame, num_buffers merged into one; nothing within the limit.
    std::optional<Frame> receive(std::chrono::milliseconds limit = deadline, uint16_t pair = 0);

    // Goes on with another back end where the rings are, as QEMU does when one comes back.
    void reconnect(FrontEnd front_end);

    FrontEnd& front_end() { return front_end_; }
    Iommu& iommu() { return *iommu_; } // With VIRTIO_F_ACCESS_PLATFORM.
    GuestRam& ram() { return ram_; }

    struct Lane {
        // For tests that break a split ring's rules.
        SplitDriverRing& split() { return dynamic_cast<SplitDriverRing&>(*ring); }

        uint32_t index;
        std::unique_ptr<DriverRing> ring;
        FrontEnd::RingEvents events;
        std::vector<uint64_t> free_areas; // Guest addresses of areas no chain holds.
        std::vector<uint64_t> area_of;    // By id.
    };
    Lane& receiver(uint16_t pair = 0) { return lanes_[2u * pair]; }
    Lane& transmitter(uint16_t pair = 0) { return lanes_[2u * pair + 1]; }
    void kick(Lane& lane); // If the device wants one.

private:
    void shake_hands();
    void start_rings();
    void add_lane(uint32_t index, size_t areas, size_t area_bytes);
    void offer_buffers(Lane& lane);
    void take_back_sent(Lane& lane);
    // The next used chain of the lane; nothing within the limit.
    std::optional<Used> wait_used(Lane& lane, std::chrono::steady_clock::time_point until);

    const Options options_;
    GuestRam ram_;
    FrontEnd front_end_;
    std::unique_ptr<Iommu> iommu_;
    std::vector<Lane> lanes_;
};

} // namespace tapline::fakes
