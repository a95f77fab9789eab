// The back end's own requests to the front end: where I/O virtual addresses lie. They are answered
// by updates over the other socket, or not at all. Never waits: what cannot be sent now goes the
// next time all that is unanswered is asked again.
#pragma once

#include "backend/base/unique_fd.h"
#include "vhost/iotlb.h"
#include "vhost/translation_port.h"

#include <cstddef>
#include <vector>

namespace tapline::vhost {

class BackendChannel {
public:
    static constexpr size_t misses_max = 1024; // More are not kept: they will be missed again.

    // Throws ProtocolError for what is no socket.
    void connect(UniqueFd socket);

    // Once, however often it is missed.
    void ask(const IotlbMiss& miss);
    // Forgets what the table tells.
    void answered(const Iotlb& table);
    void forget_all() { unanswered_.clear(); }
    bool waits() const { return !unanswered_.empty(); }
    // What has been unanswered since the last time already. The guest may have taken back what an
    // answer is under way for, and would hear of a fault if that were asked for once more.
    void ask_again();

private:
    struct Request {
        IotlbMiss miss;
        bool is_old;
    };
    void send(const IotlbMiss& miss);

    UniqueFd socket_; // None: not told yet, or the front end has closed its end.
    std::vector<Request> unanswered_;
};

} // namespace tapline::vhost
