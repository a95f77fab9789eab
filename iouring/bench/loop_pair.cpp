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

// Each read goes into one chain; what does not fit there is copied into the next ones.
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

bool LoopPair::receive_one() {
    parts_.clear();
    vhost::Chain chain{};
    needs_chains_ = !receive_queue_->peek(parts_, chain);
    if (needs_chains_) {
        return false;
    }
    const size_t room = chain.writable_bytes;
    parts_.begin_run();
    parts_.append(spill_.data(), spill_.size());
    const std::span<iovec> all = parts_.from(0);
    const ssize_t result =
        preadv2(tap_fd_, all.data(), static_cast<int>(all.size()), -1, RWF_NOWAIT);
    if (result <= 0) {
        receive_queue_->rewind();
        tap_readable_ = false;
        return false;
    }
    const auto bytes = static_cast<size_t>(result);
    const size_t spilled = bytes > room ? bytes - room : 0;
    place(chain, std::span(spill_).first(spilled), bytes - spilled);
    return true;
}

void LoopPair::place(const vhost::Chain& first, std::span<const std::byte> spilled, size_t bytes) {
    chains_.assign(1, first);
    parts_.shrink(first.writable.size());
    vhost::Chain next{};
    for (std::span<const std::byte> rest = spilled; !rest.empty();) {
        if (!receive_queue_->peek(parts_, next)) {
            receive_queue_->rewind();
            return; // Dropped; the chains stay for the next frame.
        }
        rest = copy_to_parts(rest, next.writable);
        chains_.push_back(next);
    }
    const Le16 num_buffers = static_cast<uint16_t>(chains_.size());
    copy_to_parts(std::as_bytes(std::span(&num_buffers, 1)), first.writable,
                  offsetof(VirtioNetHeader, num_buffers));
    bytes += spilled.size();
    for (const vhost::Chain& chain : chains_) {
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
