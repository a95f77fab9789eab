// What a driver writes into the memory of its ring, also behind an IOMMU.
// Input: the ring's size, features and base, then the memory.
#include "tests/fuzz/ring_input.h"
#include "vhost/features.h"
#include "vhost/iotlb.h"
#include "vhost/protocol_error.h"
#include "vhost/translation_port.h"
#include "vhost/virtqueue.h"

#include <array>
#include <memory>
#include <utility>

namespace tapline {
namespace {

using fuzz::require;
using vhost::Feature;

constexpr unsigned chains_max = 300; // The driver's index may promise 65535 more at any time.

size_t bytes_of(std::span<const iovec> parts, const std::byte* memory) {
    size_t bytes = 0;
    for (const iovec& part : parts) {
        const auto* begin = static_cast<const std::byte*>(part.iov_base);
        require(begin >= memory && part.iov_len <= fuzz::RingMemory::bytes);
        require(begin + part.iov_len <= memory + fuzz::RingMemory::bytes);
        require(part.iov_len > 0);
        bytes += part.iov_len;
    }
    return bytes;
}

void check(const vhost::Chain& chain, const vhost::Virtqueue& queue, const std::byte* memory) {
    require(chain.slots > 0 && chain.slots <= queue.size());
    require(chain.readable.size() + chain.writable.size() <= vhost::chain_parts_max);
    require(bytes_of(chain.readable, memory) == chain.readable_bytes);
    require(bytes_of(chain.writable, memory) == chain.writable_bytes);
}

// The ways for many chains at once, as far as they go.
void drain_batches(vhost::Virtqueue& queue, const std::byte* memory) {
    std::array<vhost::Delivery, 8> deliveries;
    std::array<vhost::Chain, 8> chains;
    for (unsigned turn = 0; turn < chains_max / 8; ++turn) {
        deliveries.fill({.bytes = 1 + turn, .place = nullptr});
        const size_t placed = queue.place(deliveries);
        require(placed <= queue.size());
        for (const auto& delivery : std::span(deliveries).first(placed)) {
            const iovec part{.iov_base = delivery.place, .iov_len = delivery.bytes};
            require(bytes_of(std::span(&part, 1), memory) == 1 + turn);
        }
        vhost::IovecList parts(2 * vhost::chain_parts_max);
        queue.rewind();
        const size_t count = queue.peek(parts, chains);
        const auto peeked = std::span<const vhost::Chain>(chains).first(count);
        for (const vhost::Chain& chain : peeked) {
            check(chain, queue, memory);
        }
        queue.complete_unwritten(peeked);
        queue.publish();
        require(queue.available(8) <= 8);
    }
}

// Pages in another order, some to read or to write only, and one that is not told of.
std::shared_ptr<const vhost::Iotlb> translate(std::shared_ptr<const vhost::GuestMemory> memory,
                                              const fuzz::RingMemory& ring) {
    constexpr uint64_t page = vhost::IotlbMiss::page;
    constexpr uint64_t pages = fuzz::RingMemory::bytes / page;
    auto table = vhost::Iotlb::make(std::move(memory));
    for (uint64_t number = 0; number + 1 < pages; ++number) {
        table = table->with({.address = number * page,
                             .size = page,
                             .user_address = ring.user_address((number ^ 2) * page),
                             .access = number == 9    ? vhost::Access::read
                                       : number == 10 ? vhost::Access::write
                                                      : vhost::Access::both,
                             .kind = vhost::IotlbKind::update});
    }
    return table;
}

void drain(vhost::Virtqueue& queue, const std::byte* memory) {
    vhost::IovecList parts(2 * vhost::chain_parts_max);
    for (unsigned count = 0; count < chains_max; ++count) {
        parts.clear();
        vhost::Chain chain{};
        if (!queue.peek(parts, chain)) {
            require(parts.size() == 0);
            return;
        }
        queue.rewind();
        vhost::Chain again{};
        require(queue.peek(parts, again) && again.id == chain.id);
        check(chain, queue, memory);
        queue.complete(chain, 1);
        queue.publish();
        queue.enable_kicks();
    }
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace tapline;
    static fuzz::RingMemory memory;
    static const auto mapped = memory.map();
    fuzz::Input input(data, size);
    const uint32_t ring_size = 1u << input.number<uint8_t>() % 9;
    const auto choice = input.number<uint8_t>();
    const auto base = input.number<uint16_t>();
    memory.fill(input.rest());
    const bool translated = (choice & 16) != 0;
    static const auto table = translate(mapped, memory);
    const uint64_t features = ((choice & 1) != 0 ? bit(Feature::event_idx) : 0) |
                              ((choice & 2) != 0 ? bit(Feature::indirect_desc) : 0) |
                              ((choice & 4) != 0 ? bit(Feature::ring_packed) : 0);
    try {
        const auto queue =
            vhost::Virtqueue::make(memory.ring(0, ring_size, base, translated), mapped, features,
                                   translated ? table.get() : nullptr);
        vhost::TranslationPort misses;
        if (translated) {
            queue->translate_with(*table, misses);
        }
        if ((choice & 8) != 0) {
            drain_batches(*queue, mapped->at_guest_address(0, 1));
        }
        drain(*queue, mapped->at_guest_address(0, 1));
    } catch (const vhost::ProtocolError&) {} // A packed ring's base that lies outside it.
    return 0;
}
