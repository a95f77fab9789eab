// Where two regions of memory meet, what is one piece to the guest is two to the device.
#include "tests/unit/virtqueue_fixture.h"

namespace tapline::vhost {
namespace {

using fakes::Buffer;

template <typename Driver> class VirtqueueInTwoRegions : public VirtqueueWith<Driver> {
protected:
    static constexpr VirtqueueOptions options{
        .features =
            (std::is_same_v<Driver, fakes::PackedDriverRing> ? bit(Feature::ring_packed) : 0) |
            bit(Feature::indirect_desc)};

    VirtqueueInTwoRegions() : VirtqueueWith<Driver>(options) {
        const MemoryRegion whole = this->ram_.region();
        const uint64_t half = whole.size / 2;
        MemoryRegion lower = whole;
        lower.size = half;
        const MemoryRegion upper{.guest_address = whole.guest_address + half,
                                 .size = half,
                                 .user_address = whole.user_address + half,
                                 .mmap_offset = half};
        meeting_ = upper.guest_address;
        this->memory_ =
            GuestMemory::map({}, {})->with(lower, this->ram_.fd())->with(upper, this->ram_.fd());
        this->queue_ = this->open(options);
    }

    // What is allocated next begins so many bytes before the second region.
    void go_to_meeting(uint64_t bytes_before) {
        const uint64_t here = this->ram_.allocate(0);
        this->ram_.allocate(meeting_ - bytes_before - here);
    }

    uint64_t meeting_;
};

using Drivers = testing::Types<fakes::SplitDriverRing, fakes::PackedDriverRing>;
TYPED_TEST_SUITE(VirtqueueInTwoRegions, Drivers);

TYPED_TEST(VirtqueueInTwoRegions, IndirectTableMayLieInBoth) {
    std::vector<Buffer> buffers;
    for (int i = 0; i < 20; ++i) {
        buffers.push_back(this->readable(8));
    }
    this->go_to_meeting(160);
    this->add(buffers, fakes::DriverRing::Layout::indirect);
    const auto chain = this->peek();
    ASSERT_TRUE(chain) << static_cast<int>(this->queue_->fault());
    ASSERT_EQ(chain->readable.size(), 20u);
    EXPECT_EQ(chain->readable[19].iov_base,
              this->memory_->at_guest_address(buffers[19].address, 8));
}

} // namespace
} // namespace tapline::vhost
