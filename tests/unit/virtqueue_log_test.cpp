// What a queue of either layout marks in the dirty log, without an IOMMU and behind one.
#include "tests/fakes/iommu.h"
#include "tests/unit/virtqueue_fixture.h"

#include <set>

namespace tapline::vhost {
namespace {

using fakes::Iommu;

constexpr uint64_t page = 4096;

template <typename Ring, bool behind_iommu> struct Kind {
    using Driver = Ring;
    static constexpr bool translated = behind_iommu;
};

template <typename Kind> class VirtqueueLog : public VirtqueueWith<typename Kind::Driver> {
protected:
    using Driver = typename Kind::Driver;
    static constexpr uint64_t layout =
        std::is_same_v<Driver, fakes::PackedDriverRing> ? bit(Feature::ring_packed) : 0;
    // Split: what the front end says, unless it says so by an I/O virtual address. Packed: where
    // the rings are.
    static constexpr bool log_is_told = layout == 0 && !Kind::translated;
    static constexpr uint64_t ring_log = 700 * page;

    // Large enough for the parts that are written to lie on more than one page.
    VirtqueueLog() : VirtqueueWith<Driver>({.size = 512, .features = layout}) {}

    void log(uint32_t flags) {
        Vring vring;
        vring.size = this->driver_.size();
        vring.base = this->driver_.first_base();
        vring.addresses = this->driver_.addresses(0);
        vring.addresses->flags = flags;
        vring.addresses->log = log_is_told ? ring_log : 0;
        if (Kind::translated) {
            put_behind_iommu(*vring.addresses);
        }
        this->queue_ = Virtqueue::make(vring, this->memory_, layout, table_.get());
        if (Kind::translated) {
            this->queue_->translate_with(*table_, port_);
        }
        this->queue_->log_to(std::make_shared<const DirtyLog>(
            SharedMapping::map("log", shared_.fd(), 0, page), page));
    }

    // What the driver takes for guest physical are I/O virtual addresses. The guest's memory has
    // others, and two regions: the second begins within a part of the ring that is written.
    void put_behind_iommu(VringAddresses& addresses) {
        const MemoryRegion all = this->ram_.region();
        second_ = (written_begin() + page) / page * page;
        MemoryRegion first = all;
        first.size = second_ - all.guest_address;
        first.guest_address += first_shift;
        MemoryRegion rest = all;
        rest.guest_address = second_ + second_shift;
        rest.user_address += first.size;
        rest.mmap_offset += first.size;
        rest.size -= first.size;
        const auto fd = [&] { return UniqueFd(fcntl(this->ram_.fd(), F_DUPFD_CLOEXEC, 0)); };
        this->memory_ = GuestMemory::map(std::array{first, rest}, std::array{fd(), fd()});
        table_ = Iotlb::make(this->memory_)
                     ->with(Iommu::update(this->ram_, all.guest_address, first.size))
                     ->with(Iommu::update(this->ram_, second_, rest.size));
        for (uint64_t* each : {&addresses.descriptors, &addresses.available, &addresses.used}) {
            *each = this->ram_.guest_address(*each);
        }
    }

    // The guest's page of an address that the driver uses.
    uint64_t page_at(uint64_t address) const {
        if (Kind::translated) {
            address += address < second_ ? first_shift : second_shift;
        }
        return address / page;
    }

    uint64_t written_begin() const {
        const VringAddresses at = this->driver_.addresses(0);
        return this->ram_.guest_address(layout == 0 ? at.used : at.descriptors);
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
        const size_t bytes = layout == 0 ? 4 + 8 * 512 : 16 * 512;
        if (log_is_told) {
            return {ring_log / page, ring_log / page + 1};
        }
        std::set<uint64_t> pages;
        for (size_t offset = 0; offset < bytes; ++offset) {
            pages.insert(page_at(written_begin() + offset));
        }
        if (layout != 0) {
            pages.insert(page_at(this->ram_.guest_address(this->driver_.addresses(0).used)));
        }
        return pages;
    }

    // A chain of which so many bytes are written, on pages of its own.
    uint64_t complete(uint32_t length, uint32_t written, bool writable = true) {
        const uint64_t at = this->ram_.allocate(length, page);
        this->add({{.address = at, .length = length, .writable = writable}});
        const auto chain = this->peek();
        EXPECT_TRUE(chain);
        this->queue_->complete(*chain, written);
        return page_at(at);
    }

    static constexpr uint64_t first_shift = 100 * page;
    static constexpr uint64_t second_shift = 3000 * page;
    fakes::GuestRam shared_{page, 0};
    uint64_t second_ = 0; // Where the second region begins for the driver.
    std::shared_ptr<const Iotlb> table_;
    TranslationPort port_;
};

using Kinds =
    testing::Types<Kind<fakes::SplitDriverRing, false>, Kind<fakes::PackedDriverRing, false>,
                   Kind<fakes::SplitDriverRing, true>, Kind<fakes::PackedDriverRing, true>>;
TYPED_TEST_SUITE(VirtqueueLog, Kinds);

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
