// The IOMMU that a front end puts in front of a guest's memory: answers what the device misses,
// page by page, from a thread of its own. I/O virtual addresses are what the guest's drivers here
// take for guest physical ones; the shared memory has others.
#pragma once

#include "backend/base/unique_fd.h"
#include "tests/fakes/guest_ram.h"
#include "vhost/protocol.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>

namespace tapline::fakes {

class Iommu {
public:
    static constexpr uint64_t page = 4096;
    // From an I/O virtual address to the guest physical one.
    static constexpr uint64_t shift = uint64_t{1} << 40;

    // front_end: the socket that updates go to; outlives this, as ram does.
    Iommu(int front_end, const GuestRam& ram);
    ~Iommu();
    Iommu(const Iommu&) = delete;
    Iommu& operator=(const Iommu&) = delete;

    int device_end() const { return device_end_.get(); } // For SET_BACKEND_REQ_FD.
    unsigned misses() const { return misses_; }
    // Nobody can be asked any more; what was asked is answered.
    void hang_up();
    // Whether misses get an answer from now on.
    void answer(bool wanted);

    static vhost::IotlbMessage update(const GuestRam& ram, uint64_t address, uint64_t size,
                                      vhost::Access access = vhost::Access::both);
    static vhost::IotlbMessage invalidation(uint64_t address, uint64_t size);
    static vhost::IotlbMessage invalidation_of_all() { return invalidation(0, 0); }

private:
    void serve();

    const int front_end_;
    const GuestRam& ram_;
    UniqueFd our_end_;
    UniqueFd device_end_;
    std::mutex lock_;
    bool answers_ = true; // Under lock_.
    std::atomic<unsigned> misses_ = 0;
    std::thread thread_;
};

} // namespace tapline::fakes
