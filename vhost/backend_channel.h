// The back end's own requests to the front end: where I/O virtual addresses lie. They are answered
// by updates over the other socket, or not at all. Never waits: what cannot be sent now goes the
// next time that what is unanswered is asked again. Nothing is sent before open(): a front end that
// agrees to requests need not understand this one.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/iotlb.h"
#include "vhost/translation_port.h"

#include <cstddef>
#include <utility>
#include <vector>

namespace tapline::vhost {

class BackendChannel {
public:
    static constexpr size_t misses_max = 1024; // More are not kept: they will be missed again.

    static constexpr unsigned rounds_until_late = 5;

    // Throws ProtocolError for what is no socket.
    void connect(UniqueFd socket);
    // The front end has shown that it knows of translations. What was missed before is forgotten.
    void open();
    bool is_open() const { return open_; }
    // Whether the front end has closed its end, since the last question.
    bool take_closed() { return std::exchange(closed_, false); }

    // Once, however often it is missed.
    void ask(const IotlbMiss& miss);
    // Forgets what the table tells.
    void answered(const Iotlb& table);
    void forget_all() { unanswered_.clear(); }
    bool waits() const { return !unanswered_.empty(); }
    // To be called in rounds of equal length. Not in the first after it was asked, as the guest may
    // have taken back what an answer is under way for, and would hear of a fault if that were asked
    // for once more; then after ever longer pauses. Returns what is late from this round on.
    std::vector<IotlbMiss> ask_again();

private:
    struct Request {
        IotlbMiss miss;
        unsigned rounds = 0;     // That went by without an answer.
        unsigned next_round = 2; // In which it is asked for again.
    };
    void send(const IotlbMiss& miss);

    UniqueFd socket_; // None: not told yet, or the front end has closed its end.
    bool open_ = false;
    bool closed_ = false;
    std::vector<Request> unanswered_;
};

} // namespace tapline::vhost
