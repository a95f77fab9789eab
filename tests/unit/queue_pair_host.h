// The back end of one queue pair whose tap is any descriptor: what a server does, without devices.
#pragma once

#include "iouring/queue_pair.h"
#include "tests/fakes/front_end.h"
#include "tests/fakes/socket_pair.h"
#include "vhost/connection.h"
#include "vhost/features.h"
#include "vhost/session.h"

#include <optional>
#include <thread>
#include <utility>

namespace tapline {

class QueuePairHost {
public:
    QueuePairHost(int tap_fd, uint64_t features)
        : connection_(std::move(sockets_.ours)),
          session_({.features = features, .queue_pairs = 1}),
          pair_(tap_fd, attention_.get()) {
        thread_ = std::thread([this] { serve(); });
    }
    // Once the front end has closed.
    ~QueuePairHost() { thread_.join(); }
    QueuePairHost(const QueuePairHost&) = delete;
    QueuePairHost& operator=(const QueuePairHost&) = delete;

    fakes::FrontEnd front_end() { return fakes::FrontEnd(std::move(sockets_.theirs)); }
    int attention() const { return attention_.get(); }
    const DirectionCounters& counters(Direction direction) const {
        return pair_.counters(direction);
    }

private:
    void serve() {
        while (!connection_.closed()) {
            (void)fakes::wait_readable(connection_.fd());
            while (auto message = connection_.receive()) {
                stop();
                const vhost::Request request = message->request();
                const auto reply = session_.handle(std::move(*message));
                start();
                if (reply) {
                    connection_.reply(request, *reply);
                }
            }
        }
        stop();
    }

    void stop() {
        const auto lanes = pair_.stop();
        for (size_t ring = 0; ring < direction_count; ++ring) {
            if (lanes[ring]) {
                session_.rings()[ring].base = lanes[ring]->queue->base();
            }
        }
    }

    void start() {
        const bool receives = session_.ring_is_enabled(0);
        QueuePair::Plan plan{
            .format = {.header_bytes = 12,
                       .mergeable = has(session_.features(), vhost::Feature::mrg_rxbuf)},
            .fate =
                session_.ring_is_enabled(1) ? GuestToWire::Fate::send : GuestToWire::Fate::discard,
            .lanes = {receives ? lane(0) : std::nullopt, lane(1)}};
        if (plan.lanes[0] || plan.lanes[1]) {
            pair_.start(std::move(plan));
        }
    }

    std::optional<QueuePair::Lane> lane(uint16_t ring) {
        const vhost::Vring& control = session_.rings()[ring];
        if (!session_.ring_runs(ring)) {
            return std::nullopt;
        }
        return QueuePair::Lane{
            .queue = vhost::Virtqueue::make(control, session_.memory(), session_.features()),
            .kick = control.kick.get(),
            .call = control.call.get()};
    }

    fakes::SocketPair sockets_{SOCK_STREAM};
    UniqueFd attention_ = fakes::make_eventfd();
    vhost::Connection connection_; // From here on the thread's.
    vhost::Session session_;
    QueuePair pair_;
    std::thread thread_;
};

} // namespace tapline
