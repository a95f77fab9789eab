#include "iouring/bench/loop_pair.h"

#include "backend/base/byte_order.h"
#include "iouring/bench/vnet_header.h"
#include "iouring/iovec_copy.h"

#include <sys/eventfd.h>
#include <sys/uio.h>

#include <algorithm>

namespace tapline::bench {
namespace {

constexpr unsigned burst = 64;
constexpr size_t frame_bytes_max = sizeof(VirtioNetHeader) + 65550;

void drain(int eventfd) {
    eventfd_t ignored = 0;
    (void)eventfd_read(eventfd, &ignored);
}

std::unique_ptr<vhost::Virtqueue> queue_of(const vhost::Session& session,
                                           const vhost::Vring& ring) {
    return vhost::Virtqueue::make(ring, session.memory(), session.features());
}

} // namespace

LoopPair::LoopPair(int tap_fd, const vhost::Session& session, uint16_t number)
    : tap_fd_(tap_fd),
      in_(&session.rings()[vhost::ring_of_wire_to_guest(number)]),
      out_(&session.rings()[vhost::ring_of_guest_to_wire(number)]),
      receive_queue_(queue_of(session, *in_)),
      transmit_queue_(queue_of(session, *out_)),
      parts_(4 * vhost::chain_parts_max),
      spill_(frame_bytes_max) {}

bool LoopPair::turn() {
    const unsigned sent = send();
    const unsigned received = tap_readable_ ? receive() : 0;
    return sent + received > 0;
}

unsigned LoopPair::send() {
    unsigned count = 0;
    vhost::Chain chain{};
    for (; count < burst; ++count) {
        parts_.clear();
        if (!transmit_queue_->peek(parts_, chain)) {
            break;
        }
        (void)!writev(tap_fd_, chain.readable.data(), static_cast<int>(chain.readable.size()));
        transmit_queue_->complete(chain, 0);
    }
    if (count > 0 && transmit_queue_->publish()) {
        eventfd_write(out_->call.get(), 1);
    }
    return count;
}

unsigned LoopPair::receive() {
    unsigned count = 0;
    while (count < burst && tap_readable_ && receive_one()) {
        ++count;
    }
    if (count > 0 && receive_queue_->publish()) {
        eventfd_write(in_->call.get(), 1);
    }
    return count;
}

// Straight into as many chains as the largest frame so far took. What is longer still is copied
// this once.
bool LoopPair::receive_one() {
    receive_queue_->rewind();
    parts_.clear();
    chains_.clear();
    size_t room = 0;
    do {
        needs_chains_ = !take_chain(room);
        if (needs_chains_) {
            return false; // The kick to ask for is that of the chain behind these.
        }
    } while (room < largest_frame_);
    parts_.begin_run();
    parts_.append(spill_.data(), spill_.size());
    const std::span<iovec> all = parts_.from(0);
    const ssize_t result =
        preadv2(tap_fd_, all.data(), static_cast<int>(all.size()), -1, RWF_NOWAIT);
    tap_readable_ = result > 0;
    if (tap_readable_) {
        place(static_cast<size_t>(result), room);
    }
    return tap_readable_;
}

// The next one, for the frame that is to come. False: there is none.
bool LoopPair::take_chain(size_t& room) {
    vhost::Chain chain{};
    if (!receive_queue_->peek(parts_, chain)) {
        return false;
    }
    chains_.push_back(chain);
    room += chain.writable_bytes;
    return true;
}

void LoopPair::place(size_t bytes, size_t room) {
    largest_frame_ = std::max(largest_frame_, bytes);
    std::span<const std::byte> rest = std::span(spill_).first(bytes > room ? bytes - room : 0);
    while (!rest.empty()) {
        if (!take_chain(room)) {
            return; // Lost; from now on frames of its size have their chains beforehand.
        }
        rest = copy_to_parts(rest, chains_.back().writable);
    }
    uint16_t used = 0;
    for (size_t placed = 0; placed < bytes; ++used) {
        placed += chains_[used].writable_bytes;
    }
    const Le16 num_buffers = used;
    copy_to_parts(std::as_bytes(std::span(&num_buffers, 1)), chains_.front().writable,
                  offsetof(VirtioNetHeader, num_buffers));
    for (const vhost::Chain& chain : std::span(chains_).first(used)) {
        const size_t share = std::min(bytes, chain.writable_bytes);
        receive_queue_->complete(chain, static_cast<uint32_t>(share));
        bytes -= share;
    }
}

bool LoopPair::prepare_to_sleep(std::vector<pollfd>& polled) {
    bool more = transmit_queue_->enable_kicks();
    if (needs_chains_) {
        more |= receive_queue_->enable_kicks();
    }
    polled.push_back({.fd = tap_readable_ ? -1 : tap_fd_, .events = POLLIN, .revents = 0});
    polled.push_back({.fd = out_->kick.get(), .events = POLLIN, .revents = 0});
    polled.push_back({.fd = in_->kick.get(), .events = POLLIN, .revents = 0});
    return more;
}

size_t LoopPair::woken(std::span<const pollfd> polled) {
    transmit_queue_->disable_kicks();
    receive_queue_->disable_kicks();
    tap_readable_ |= polled[0].revents != 0;
    for (const pollfd& kick : polled.subspan(1, 2)) {
        if (kick.revents != 0) {
            drain(kick.fd);
        }
    }
    return 3;
}

} // namespace tapline::bench
