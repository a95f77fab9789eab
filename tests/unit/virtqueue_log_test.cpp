// What a queue of either layout marks in the dirty log.
#include "tests/unit/virtqueue_fixture.h"

#include <set>

namespace tapline::vhost {
namespace {

constexpr uint64_t page = 4096;

template <typename Driver> class VirtqueueLog : public VirtqueueWith<Driver> {
protected:
    static constexpr uint64_t layout =
        std::is_same_v<Driver, fakes::PackedDriverRing> ? bit(Feature::ring_packed) : 0;
    // Split: what the front end says. Packed: where the rings are.
    static constexpr uint64_t ring_log = layout == 0 ? 700 * page : 0;

    VirtqueueLog() : VirtqueueWith<Driver>({.features = layout}) {}

    void log(uint32_t flags) {
        VringAddresses addresses = this->driver_.addresses(0);
        addresses.flags = flags;
        addresses.log = ring_log;
        Vring vring;
        vring.size = this->driver_.size();
        vring.base = this->driver_.first_base();
        vring.addresses = addresses;
        this->queue_ = Virtqueue::make(vring, this->memory_, layout);
        this->queue_->log_to(std::make_shared<const DirtyLog>(
            SharedMapping::map("log", shared_.fd(), 0, page), page));
    }

    // Since the last question.
    std::set<uint64_t> marked() {
        std::set<uint64_t> pages;
        for (uint64_t number = 0; number < 8 * page; ++number) {
            if ((std::to_integer<unsigned>(shared_.at(0)[number / 8]) >> number % 8 & 1) != 0) {
                pages.insert(number);
            }
        }
        std::ranges::fill(shared_.at(0, page), std::byte{0});
        return pages;
    }

    std::set<uint64_t> ring_pages() {
        const uint64_t begin = this->ram_.region().guest_address / page;
        return layout == 0 ? std::set<uint64_t>{700} : std::set<uint64_t>{begin};
    }

    // A chain of which so many bytes are written, on pages of its own.
    uint64_t complete(uint32_t length, uint32_t written, bool writable = true) {
        const uint64_t at = this->ram_.allocate(length, page);
        this->add({{.address = at, .length = length, .writable = writable}});
        const auto chain = this->peek();
        EXPECT_TRUE(chain);
        this->queue_->complete(*chain, written);
        return at / page;
    }

    fakes::GuestRam shared_{page, 0};
};

using Layouts = testing::Types<fakes::SplitDriverRing, fakes::PackedDriverRing>;
TYPED_TEST_SUITE(VirtqueueLog, Layouts);

TYPED_TEST(VirtqueueLog, HasThePagesThatWereWritten) {
    this->log(0);
    const uint64_t first = this->complete(5 * page, 2 * page + 1);
    this->queue_->publish();
    EXPECT_EQ(this->marked(), (std::set<uint64_t>{first, first + 1, first + 2}));
}

TYPED_TEST(VirtqueueLog, HasNothingOfWhatTheDriverSends) {
    this->log(0);
    this->complete(3 * page, 0, false);
    this->queue_->publish();
    this->queue_->enable_kicks();
    this->queue_->disable_kicks();
    EXPECT_EQ(this->marked(), std::set<uint64_t>{});
}

TYPED_TEST(VirtqueueLog, HasTheRingWhereTheFrontEndAsks) {
    this->log(vring_flag_log);
    this->complete(page, 0, false);
    this->marked();
    this->queue_->publish();
    EXPECT_EQ(this->marked(), this->ring_pages());
    this->queue_->enable_kicks();
    EXPECT_EQ(this->marked(), this->ring_pages());
    this->queue_->disable_kicks();
    EXPECT_EQ(this->marked(), this->ring_pages());
}

} // namespace
} // namespace tapline::vhost
