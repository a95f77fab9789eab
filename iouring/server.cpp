#include "iouring/server.h"

#include "backend/base/error.h"
#include "backend/base/log.h"
#include "vhost/features.h"
#include "vhost/payload.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <exception>
#include <utility>

namespace tapline {
namespace {

// A front end that floods us shall not keep signals waiting.
constexpr unsigned messages_per_dispatch_max = 64;

constexpr std::chrono::seconds ask_again_after{1};

// Of one session: a guest can start and break its rings without end.
constexpr unsigned lines_told_max = 100;

} // namespace

Server::Server(MainLoop& loop, Pump& pump, Status& status)
    : loop_(loop),
      pump_(pump),
      status_(status),
      on_attention_(loop.on_readable(pump.attention(), [this] {
          tell_faults();
          if (session_) {
              pump_.take_misses(*session_);
              ask_again_if_unanswered();
          }
      })) {}

void Server::stop() {
    if (session_) { // The workers use its descriptors.
        pump_.pause(*session_, {0, pump_.queue_pairs()});
    }
}

void Server::listen(vhost::ListeningSocket socket) {
    listener_.emplace(std::move(socket));
    await_front_end();
}

void Server::keep_connecting(std::string path, std::chrono::milliseconds pause) {
    far_listener_ = {.path = std::move(path), .pause = pause, .told = {}};
    await_front_end();
    connect();
}

void Server::serve_only(UniqueFd connected) {
    begin(std::move(connected));
}

void Server::accept() {
    if (UniqueFd connected = listener_->accept()) {
        on_front_end_.reset();
        begin(std::move(connected));
    }
}

void Server::connect() {
    UniqueFd connected;
    try {
        connected = vhost::connect_to(far_listener_->path);
    } catch (const Error& error) {
        if (std::exchange(far_listener_->told, error.what()) != error.what()) {
            log(LogLevel::info, "{}; trying again each {} ms", error.what(),
                far_listener_->pause.count());
        }
        return;
    }
    far_listener_->told.clear();
    on_front_end_.reset();
    begin(std::move(connected));
}

void Server::await_front_end() {
    on_front_end_ = listener_ ? loop_.on_readable(listener_->fd(), [this] { accept(); })
                              : loop_.every(far_listener_->pause, [this] { connect(); });
}

void Server::begin(UniqueFd connected) {
    pump_.begin();
    session_.emplace(pump_.offer());
    connection_.emplace(std::move(connected));
    on_message_ = loop_.on_readable(connection_->fd(), [this] { on_messages(); });
    told_running_ = 0;
    told_silent_ = false;
    told_late_ = false;
    lines_told_ = 0;
    ++sessions_;
    status_.tell("connected", nlohmann::ordered_json::object());
    log(LogLevel::info, "front end connected");
}

void Server::end(const std::string& reason) {
    on_message_.reset();
    on_unanswered_.reset();
    pump_.end(*session_);
    session_.reset();
    connection_.reset();
    status_.tell("disconnected", {{"reason", reason}, {"counters", counters()}});
    log(LogLevel::info, "front end gone: {}", reason);
    if (listener_ || far_listener_) {
        await_front_end();
    } else {
        loop_.quit();
    }
}

void Server::on_messages() {
    try {
        for (unsigned count = 0; count < messages_per_dispatch_max; ++count) {
            std::optional<vhost::Message> message = connection_->receive();
            if (!message) {
                break;
            }
            handle(std::move(*message));
        }
        if (connection_->closed()) {
            end("closed by the front end");
        }
    } catch (const vhost::ProtocolError& error) {
        refuse(error);
        end(error.what());
    } catch (const Error& error) {
        pump_.check_devices(); // Without its device the pump is of no use.
        // Short of descriptors or memory: that ends this session, and the next may need less.
        log(LogLevel::warning, "front end given up: {}", error.what());
        end(error.what());
    }
}

// Whatever the message was, the rings it touched go on as far as they can.
void Server::handle(vhost::Message message) {
    const vhost::Request request = message.request();
    const bool asks = message.needs_reply();
    bool acknowledge = asks && session_->acknowledges();
    vhost::Session::Reply reply;
    uint64_t outcome = 0; // REPLY_ACK: other than zero is a failure.
    const auto attempt = [&](const auto& step) {
        try {
            step();
        } catch (const vhost::ProtocolError& error) {
            if (!acknowledge || ends_session(error.fault())) {
                throw;
            }
            refuse(error);
            outcome = 1;
        }
    };
    // What was missed before the message is asked for before it: else a page that was told and
    // taken back meanwhile would be asked for once more, and the guest would see a fault.
    pump_.take_misses(*session_);
    pump_.pause(*session_, session_->affected_pairs(message));
    attempt([&] { reply = session_->handle(std::move(message)); });
    acknowledge |= asks && session_->acknowledges(); // Also of the message that agrees on it.
    attempt([&] { pump_.resume(*session_); });
    if (const auto station = session_->take_announcement()) {
        announce(MacAddress(*station));
    }
    if (reply) {
        connection_->reply(request, *reply);
    } else if (acknowledge) {
        connection_->reply(request, vhost::reply_of(outcome));
    }
    ask_again_if_unanswered();
    tell_running();
}

// Of a front end that could not answer, or not be asked, at the time.
void Server::ask_again_if_unanswered() {
    tell_if_channel_closed();
    if (!session_->requests().waits()) {
        on_unanswered_.reset();
    } else if (!on_unanswered_) {
        on_unanswered_ = loop_.every(ask_again_after, [this] { ask_again(); });
    }
}

// QEMU 7.2 does not tell its back ends of a flush of the whole IOMMU, and answers nothing for an
// address that the guest has taken back by then.
void Server::ask_again() {
    const auto late = session_->requests().ask_again();
    late_translations_ += late.size();
    if (!late.empty() && !std::exchange(told_late_, true)) {
        const std::string address = fmt::format("{:#x}", late.front().address);
        status_.tell("translation_is_late", {{"address", address}});
        log(level(LogLevel::warning),
            "the front end does not tell where I/O virtual address {} lies, so the guest waits: "
            "with QEMU 7.2 boot it with iommu.strict=1 or iommu=pt",
            address);
    }
    tell_if_channel_closed();
}

void Server::tell_if_channel_closed() {
    if (session_->requests().take_closed()) {
        log(level(LogLevel::warning), "the front end has closed the channel by which it is asked "
                                      "for translations: the guest may wait for ever");
    }
}

// A courtesy to the switches: the guest goes on without it.
void Server::announce(const MacAddress& station) {
    try {
        pump_.announce(station);
    } catch (const Error& error) {
        const bool first = !std::exchange(told_silent_, true);
        log(first ? LogLevel::warning : LogLevel::debug, "cannot announce {}: {}", station.text(),
            error.what());
    }
}

void Server::refuse(const vhost::ProtocolError& error) {
    // Each kind is told once and then only counted: a front end can repeat it without end.
    const bool first = protocol_errors_[static_cast<size_t>(error.fault())]++ == 0;
    log(first ? LogLevel::warning : LogLevel::debug, "front end refused: {}", error.what());
}

void Server::tell_running() {
    const unsigned running = pump_.pairs_carrying_frames();
    if (std::exchange(told_running_, running) != running) {
        const uint64_t features = session_->features() &
                                  ~bits(vhost::Feature::protocol_features, vhost::Feature::log_all);
        const auto names = vhost::feature_names(features);
        status_.tell("running", {{"queue_pairs", running}, {"features", names}});
        log(level(LogLevel::info), "{} queue pairs run, features {:#x}", running, features);
    }
}

void Server::tell_faults() {
    for (const std::string& line : pump_.take_faults()) {
        log(level(LogLevel::warning), "{}", line);
    }
}

LogLevel Server::level(LogLevel usual) {
    return ++lines_told_ > lines_told_max ? LogLevel::debug : usual;
}

nlohmann::ordered_json Server::counters() const {
    nlohmann::ordered_json all = pump_.counters();
    auto errors = nlohmann::ordered_json::object();
    for (size_t fault = 0; fault < protocol_errors_.size(); ++fault) {
        if (protocol_errors_[fault] > 0) {
            errors[to_text(static_cast<vhost::ProtocolFault>(fault))] = protocol_errors_[fault];
        }
    }
    all["sessions"] = sessions_;
    all["late_translations"] = late_translations_;
    all["protocol_errors"] = errors;
    return all;
}

} // namespace tapline
