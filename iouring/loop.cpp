#include "iouring/loop.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace tapline {
namespace {

// How long a frame waits for a guest that has buffers, but too few for it.
constexpr std::chrono::nanoseconds patience = std::chrono::milliseconds(200);

// How long the end of the loop waits for calls that are under way.
constexpr std::chrono::nanoseconds last_calls_max = std::chrono::milliseconds(50);

constexpr Direction directions[] = {Direction::wire_to_guest, Direction::guest_to_wire};

constexpr size_t index_of(Direction direction) {
    return static_cast<size_t>(direction);
}

std::unique_ptr<SendGate> make_gate(const QueuePair::Plan& plan) {
    RateLimit* limit = plan.limits[index_of(Direction::guest_to_wire)];
    return plan.security == nullptr && limit == nullptr
               ? nullptr
               : std::make_unique<SendGate>(plan.security, limit, plan.format.header_bytes);
}

std::optional<RateLimit::Time> earlier(std::optional<RateLimit::Time> a,
                                       std::optional<RateLimit::Time> b) {
    return a && b ? std::min(a, b) : a ? a : b;
}

} // namespace

Loop::Loop(Ring& ring, QueuePair::Plan& plan, HeldFrames& held,
           std::array<DirectionCounters, direction_count>& counters, ExpressLane* express,
           const Events& events, vhost::TranslationPort* translations)
    : ring_(ring), plan_(plan), counters_(counters), events_(events), translations_(translations) {
    if (auto* out = lane(Direction::guest_to_wire)) {
        guest_to_wire_.emplace(*out->queue, plan.format.header_bytes, plan.fate,
                               counters[index_of(Direction::guest_to_wire)], make_gate(plan),
                               express);
    }
    if (auto* in = lane(Direction::wire_to_guest)) {
        wire_to_guest_.emplace(*in->queue, plan.format, held,
                               counters[index_of(Direction::wire_to_guest)],
                               plan.limits[index_of(Direction::wire_to_guest)]);
    }
}

void Loop::run() noexcept {
    ring_.enable();
    arm();
    while (!stopping_) {
        translate();
        const bool read = wire_to_guest_ && (tap_readable_ || looking_);
        // Else the guest would send two frames while it gets one.
        const unsigned share = read ? reads_per_turn_max : frames_per_turn_max;
        const unsigned taken = guest_to_wire_ ? guest_to_wire_->collect(ring_, share) : 0;
        const unsigned offered = read ? wire_to_guest_->offer(ring_) : 0;
        const auto limit = time_to_hold();
        note_faults();
        note_misses();
        watch_tap();
        if (taken + offered > 0 || looking_) {
            poll_pause_ = poll_pause_min;
            ring_.submit();
        } else {
            sleep(limit);
        }
        reap();
        const bool given = publish();
        const bool pays = spin_.pays(given       ? Spin<>::Work::given
                                     : taken > 0 ? Spin<>::Work::taken
                                                 : Spin<>::Work::none);
        looking_ = pays && !send_wait() && !read_wait();
    }
    note_faults(); // Of the last turn.
    let_go_of_translations();
    finish_calls();
}

void Loop::arm() noexcept {
    ring_.poll(events_.stop, TagKind::stop);
    if (translations_ != nullptr) {
        ring_.poll(translations_->changed(), TagKind::translation);
    }
    for (const Direction direction : directions) {
        if (auto* used = lane(direction)) {
            if (used->kick >= 0) {
                ring_.poll(used->kick, TagKind::kick, static_cast<uint16_t>(direction));
            }
            if (used->calls_first) {
                call(direction);
            }
            used->queue->disable_kicks();
        }
    }
}

// Between two turns nothing is kept that a table led to but the places of the rings, which no table
// changes under us: so each turn may begin with another one.
void Loop::translate() noexcept {
    if (translations_ == nullptr) {
        return;
    }
    const vhost::Iotlb* const table = translations_->acquire();
    if (std::exchange(generation_, table->generation()) == table->generation()) {
        return;
    }
    for (const Direction direction : directions) {
        if (auto* used = lane(direction)) {
            used->queue->translate_with(*table, *translations_);
        }
    }
}

void Loop::let_go_of_translations() noexcept {
    if (translations_ != nullptr) {
        translations_->release();
    }
}

// An empty tap queue is watched from the next enter on, be it one to sleep or to send.
void Loop::watch_tap() noexcept {
    if (wire_to_guest_ && !tap_readable_ && !looking_ && !tap_polled_) {
        ring_.poll_tap();
        tap_polled_ = true;
    }
}

// Nothing could be moved this turn. What may come meanwhile must wake us, so each wish for a
// wake-up is followed by one more look. A direction over its rate only waits for its time.
void Loop::sleep(std::optional<std::chrono::nanoseconds> limit) noexcept {
    limit = earlier(limit, earlier(send_wait(), read_wait()));
    spin_.begin_idling();
    bool more = false;
    bool polls = false;
    const auto await_chains = [&](QueuePair::Lane& used) {
        if (used.kick >= 0) {
            more |= used.queue->enable_kicks();
        } else {
            polls = true;
        }
    };
    if (guest_to_wire_ && !send_wait()) {
        await_chains(*lane(Direction::guest_to_wire));
    }
    const bool needs_chains =
        wire_to_guest_ && !read_wait() && (tap_readable_ || wire_to_guest_->holds_frame());
    if (needs_chains) {
        await_chains(*lane(Direction::wire_to_guest));
    }
    if (more) {
        ring_.submit();
    } else {
        let_go_of_translations();
        ring_.submit_and_wait(polls ? earlier(limit, next_poll_pause()) : limit);
        translate();
    }
    for (const Direction direction : directions) {
        if (auto* used = lane(direction)) {
            used->queue->disable_kicks();
        }
    }
}

std::chrono::microseconds Loop::next_poll_pause() noexcept {
    return std::exchange(poll_pause_, std::min(2 * poll_pause_, poll_pause_max));
}

void Loop::reap() noexcept {
    ring_.for_each_completion([this](Tag tag, int32_t result, bool more) {
        if (tag.kind() == TagKind::tap_read) [[likely]] {
            wire_to_guest_->completed(tag.slot(), result);
        } else {
            completed(tag, result, more);
        }
    });
}

void Loop::completed(Tag tag, int32_t result, bool more) noexcept {
    switch (tag.kind()) {
    case TagKind::tap_write:
        guest_to_wire_->refused(tag.slot(), result);
        break;
    case TagKind::tap_readable:
        tap_readable_ = true;
        tap_polled_ = false;
        break;
    case TagKind::kick: // Its news is in the ring; collect() and offer() look there anyway.
        if (!more && (result & (POLLERR | POLLHUP | POLLNVAL)) == 0) {
            const auto direction = static_cast<Direction>(tag.slot());
            ring_.poll(lane(direction)->kick, TagKind::kick, tag.slot());
        }
        break;
    case TagKind::translation: // The next turn looks for it anyway.
        if (!more) {
            ring_.poll(translations_->changed(), TagKind::translation);
        }
        break;
    case TagKind::call:
        called(static_cast<Direction>(tag.slot()));
        break;
    case TagKind::stop:
        stopping_ = true;
        break;
    case TagKind::tap_read:
    case TagKind::error:
        break;
    }
}

bool Loop::publish() noexcept {
    bool given = false;
    if (guest_to_wire_ && guest_to_wire_->publish()) {
        call(Direction::guest_to_wire);
    }
    if (wire_to_guest_) {
        if (wire_to_guest_->publish()) {
            call(Direction::wire_to_guest);
        }
        given = wire_to_guest_->gave_frames();
        tap_readable_ = (tap_readable_ || given) && !wire_to_guest_->tap_is_empty();
    }
    return given;
}

// The write rides on the next enter. One that is still under way may come before what was just
// published, so it is repeated and not relied on.
void Loop::call(Direction direction) noexcept {
    Call& state = calls_[index_of(direction)];
    const int eventfd = lane(direction)->call;
    if (eventfd < 0) {
        return;
    }
    if (state != Call::idle) {
        state = Call::sent_again;
        return;
    }
    ring_.signal(eventfd, TagKind::call, static_cast<uint16_t>(direction));
    state = Call::sent;
}

void Loop::called(Direction direction) noexcept {
    Call& state = calls_[index_of(direction)];
    const bool again = state == Call::sent_again;
    state = Call::idle;
    if (again) {
        call(direction);
    }
}

// Where the front end's eventfd may block, a write to it is still under way when submit returns,
// and would end unwritten with this thread. One that does block keeps nobody from stopping.
void Loop::finish_calls() noexcept {
    const auto until = std::chrono::steady_clock::now() + last_calls_max;
    ring_.submit();
    reap();
    while (std::ranges::any_of(calls_, [](Call call) { return call != Call::idle; })) {
        const auto left = until - std::chrono::steady_clock::now();
        if (left <= std::chrono::nanoseconds::zero()) {
            return;
        }
        ring_.submit_and_wait(left);
        reap();
    }
}

// The front end is told by its own eventfd, on the next enter: a write to it may block.
void Loop::note_faults() noexcept {
    for (const Direction direction : directions) {
        auto* used = lane(direction);
        if (used == nullptr || used->queue->fault() == vhost::RingFault::none ||
            std::exchange(fault_noted_[index_of(direction)], true)) {
            continue;
        }
        counters_[index_of(direction)].faults[static_cast<size_t>(used->queue->fault())].add(1);
        (void)eventfd_write(events_.attention, 1);
        if (used->error >= 0) {
            ring_.signal(used->error, TagKind::error);
        }
    }
}

void Loop::note_misses() noexcept {
    if (translations_ != nullptr && translations_->has_reported()) {
        (void)eventfd_write(events_.attention, 1);
    }
}

// None while no frame is held. A frame whose time is over is dropped; each that the guest takes
// gives the next one its full time.
std::optional<std::chrono::nanoseconds> Loop::time_to_hold() noexcept {
    if (!wire_to_guest_ || !wire_to_guest_->holds_frame() ||
        lane(Direction::wire_to_guest)->queue->awaits_translation()) {
        held_since_.reset();
        return std::nullopt;
    }
    const auto now = std::chrono::steady_clock::now();
    const uint64_t frames = counters_[index_of(Direction::wire_to_guest)].frames.value();
    if (!held_since_ || held_behind_ != frames) {
        held_since_ = now;
        held_behind_ = frames;
    }
    const std::chrono::nanoseconds left = patience - (now - *held_since_);
    if (left > std::chrono::nanoseconds::zero()) {
        return left;
    }
    wire_to_guest_->give_up_held();
    held_since_.reset();
    return std::chrono::nanoseconds::zero();
}

std::optional<RateLimit::Time> Loop::send_wait() const noexcept {
    return guest_to_wire_ ? guest_to_wire_->wait() : std::nullopt;
}

// Without a frame in the tap queue what was found when there was one says nothing.
std::optional<RateLimit::Time> Loop::read_wait() const noexcept {
    return wire_to_guest_ && tap_readable_ ? wire_to_guest_->wait() : std::nullopt;
}

QueuePair::Lane* Loop::lane(Direction direction) noexcept {
    auto& found = plan_.lanes[index_of(direction)];
    return found ? &*found : nullptr;
}

} // namespace tapline
