#include "iouring/bench/loop_backend.h"

#include "backend/base/log.h"
#include "iouring/bench/cpu_time.h"
#include "iouring/bench/loop_pair.h"
#include "iouring/offload.h"
#include "vhost/connection.h"
#include "vhost/features.h"
#include "vhost/session.h"

#include <poll.h>

#include <exception>

namespace tapline::bench {
namespace {

using vhost::Feature;

// Serves one front end until it goes.
class Loop {
public:
    Loop(std::vector<TapQueue>& taps, UniqueFd connected)
        : taps_(taps),
          session_(
              {.features = vhost::bits(Feature::version_1, Feature::mrg_rxbuf, Feature::event_idx,
                                       Feature::indirect_desc, Feature::ring_packed) |
                           features_for_offloads(taps.front().supported_offloads()) |
                           (taps.size() > 1 ? bit(Feature::mq) : 0),
               .queue_pairs = static_cast<uint16_t>(taps.size())}),
          connection_(std::move(connected)) {}

    void run() {
        while (!connection_.closed()) {
            bool more = false;
            for (LoopPair& pair : pairs_) {
                more |= pair.turn();
            }
            if (!more) {
                sleep();
            }
            if (message_waits_) {
                take_messages();
            }
        }
    }

private:
    void sleep() {
        polled_.assign(1, {.fd = connection_.fd(), .events = POLLIN, .revents = 0});
        bool more = false;
        for (LoopPair& pair : pairs_) {
            more |= pair.prepare_to_sleep(polled_);
        }
        poll(polled_.data(), polled_.size(), more ? 0 : -1);
        message_waits_ = polled_.front().revents != 0;
        size_t at = 1;
        for (LoopPair& pair : pairs_) {
            at += pair.woken(std::span(polled_).subspan(at));
        }
    }

    // The rings are new only once all messages have come: this front end never changes a ring.
    void take_messages() {
        while (auto message = connection_.receive()) {
            const vhost::Request request = message->request();
            if (const auto reply = session_.handle(std::move(*message))) {
                connection_.reply(request, *reply);
            }
        }
        for (auto number = static_cast<uint16_t>(pairs_.size()); number < taps_.size(); ++number) {
            const uint16_t in = vhost::ring_of_wire_to_guest(number);
            const uint16_t out = vhost::ring_of_guest_to_wire(number);
            const bool runs = session_.ring_runs(in) && session_.ring_runs(out) &&
                              session_.ring_is_enabled(in) && session_.ring_is_enabled(out);
            if (!runs) {
                return;
            }
            taps_[number].configure(VnetHeader::v1, offloads_for_features(session_.features()));
            pairs_.emplace_back(taps_[number].fd(), session_, number);
        }
    }

    std::vector<TapQueue>& taps_;
    vhost::Session session_;
    vhost::Connection connection_;
    std::vector<LoopPair> pairs_;
    std::vector<pollfd> polled_;
    bool message_waits_ = true;
};

void serve(std::vector<TapQueue>& taps, vhost::ListeningSocket& listener) {
    pollfd waited{.fd = listener.fd(), .events = POLLIN, .revents = 0};
    poll(&waited, 1, -1);
    if (UniqueFd connected = listener.accept()) {
        Loop(taps, std::move(connected)).run();
    }
}

} // namespace

LoopBackend::LoopBackend(std::vector<TapQueue> taps, const std::string& socket_path)
    : listener_(vhost::ListeningSocket::bind(socket_path)), taps_(std::move(taps)) {
    thread_ = std::thread([this] {
        try {
            serve(taps_, listener_);
        } catch (const std::exception& error) { // The front end sees it go.
            log(LogLevel::warning, "baseline 'loop' ends: {}", error.what());
        }
    });
    front_end_ = FrontEnd::connect(socket_path, -1);
}

LoopBackend::~LoopBackend() {
    front_end_.reset();
    thread_.join();
}

uint64_t LoopBackend::cpu_ns() const {
    return cpu_ns_of_thread(const_cast<std::thread&>(thread_).native_handle());
}

} // namespace tapline::bench
