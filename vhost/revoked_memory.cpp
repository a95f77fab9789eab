#include "vhost/revoked_memory.h"

#include "vhost/protocol.h"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cassert>
#include <csignal>
#include <cstdint>

namespace tapline::vhost {
namespace {

// Read by the signal handler: a slot's begin is stored last and cleared first.
struct Slot {
    std::atomic<uintptr_t> begin = 0; // 0: free.
    std::atomic<size_t> size = 0;
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free);

// A new memory table is mapped before the old one goes, and a log may lie beside them; tests hold a
// few sessions at a time. Behind an IOMMU each part of 256 rings may be mapped once more.
constexpr size_t slots_max = 2 * (memory_slots_max + memory_regions_max) + 3 * 256;
std::array<Slot, slots_max> slots;

void on_sigbus(int signal, siginfo_t* info, void*) {
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    for (const Slot& slot : slots) {
        const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
        if (begin == 0 || address - begin >= slot.size.load(std::memory_order_relaxed)) {
            continue;
        }
        void* zeros = mmap(reinterpret_cast<void*>(begin),
                           slot.size.load(std::memory_order_relaxed), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        if (zeros != MAP_FAILED) {
            return;
        }
    }
    (void)std::signal(signal, SIG_DFL); // Not ours: the access repeats and ends the process.
}

void install_handler() {
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, nullptr);
}

} // namespace

void watch_mapping(const WatchedMapping& mapping) {
    [[maybe_unused]] static const bool installed = (install_handler(), true);
    for (Slot& slot : slots) {
        if (slot.begin.load(std::memory_order_relaxed) == 0) {
            slot.size.store(mapping.size, std::memory_order_relaxed);
            slot.begin.store(reinterpret_cast<uintptr_t>(mapping.begin), std::memory_order_release);
            return;
        }
    }
    assert(false && "more memory tables at a time than sessions can have");
}

void unwatch_mapping(const std::byte* begin) {
    for (Slot& slot : slots) {
        if (slot.begin.load(std::memory_order_relaxed) == reinterpret_cast<uintptr_t>(begin)) {
            slot.begin.store(0, std::memory_order_release);
            return;
        }
    }
}

} // namespace tapline::vhost
