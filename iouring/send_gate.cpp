#include "iouring/send_gate.h"

#include "iouring/iovec_copy.h"
#include "vhost/virtqueue.h"

#include <algorithm>

namespace tapline {

// Each frame has its head in front of at most all the parts of its chain.
SendGate::SendGate(const PortSecurity* security, RateLimit* limit, size_t header_bytes)
    : security_(security),
      limit_(limit),
      header_bytes_(header_bytes),
      heads_(std::make_unique<std::array<Head, frames_per_turn_max>>()),
      parts_(2 * vhost::chain_parts_max + frames_per_turn_max) {}

void SendGate::begin_turn() noexcept {
    parts_.clear();
    frames_ = 0;
    wait_.reset();
    if (limit_ != nullptr) {
        now_ = RateLimit::now();
    }
}

SendGate::Verdict SendGate::look_at(std::span<const iovec> frame, size_t bytes) noexcept {
    const auto head = std::span((*heads_)[frames_]).first(std::min(bytes, head_bytes_max));
    copy_from_parts(frame, head);
    const auto header = VirtioNetHeader::from(head);
    if (security_ != nullptr) {
        if (const auto why = security_->refusal(header, head.subspan(header_bytes_))) {
            return {.kind = Verdict::Kind::drop, .why = *why, .parts = {}};
        }
    }
    if (limit_ != nullptr) {
        const auto load = RateLimit::Load::of(header, bytes - header_bytes_);
        if (!limit_->take(load, now_)) {
            wait_ = limit_->wait(load, now_);
            return {.kind = Verdict::Kind::wait, .why = {}, .parts = {}};
        }
    }
    ++frames_;
    const size_t begin = parts_.size();
    parts_.begin_run();
    parts_.append(head.data(), head.size());
    size_t copied = head.size();
    for (const iovec& part : frame) {
        if (copied < part.iov_len) {
            parts_.append(static_cast<std::byte*>(part.iov_base) + copied, part.iov_len - copied);
        }
        copied -= std::min(copied, part.iov_len);
    }
    return {.kind = Verdict::Kind::send, .why = {}, .parts = parts_.from(begin)};
}

} // namespace tapline
