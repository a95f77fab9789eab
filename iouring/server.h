// Serves one front end after the other: its messages to the session, what they change to the pump,
// what happens to whoever watches.
#pragma once

#include "backend/base/log.h"
#include "backend/base/main_loop.h"
#include "iouring/pump.h"
#include "iouring/status.h"
#include "vhost/connection.h"
#include "vhost/protocol_error.h"
#include "vhost/session.h"
#include "vhost/socket.h"

#include <array>
#include <chrono>
#include <optional>
#include <string>

namespace tapline {

class Server {
public:
    // All must outlive the server.
    Server(MainLoop& loop, Pump& pump, Status& status);
    ~Server() { stop(); }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Front ends come one at a time; the next waits until the last has gone.
    void listen(vhost::ListeningSocket socket);
    // While there is no front end at path, looks for one after each pause.
    void keep_connecting(std::string path, std::chrono::milliseconds pause);
    // There will be no other: the main loop ends with it.
    void serve_only(UniqueFd connected);
    // No frame is moved after it, so the counters are final.
    void stop();

    nlohmann::ordered_json counters() const;

private:
    void accept();
    void connect();
    void await_front_end();
    void begin(UniqueFd connected);
    void end(const std::string& reason);
    void on_messages();
    void handle(vhost::Message message);
    void announce(const MacAddress& station);
    void refuse(const vhost::ProtocolError& error);
    void tell_running();
    void tell_faults();
    void ask_again_if_unanswered();
    void ask_again();
    void tell_if_channel_closed();
    LogLevel level(LogLevel usual); // Of a line that a guest can cause.

    MainLoop& loop_;
    Pump& pump_;
    Status& status_;
    struct FarListener {
        std::string path;
        std::chrono::milliseconds pause;
        std::string told; // Why there is no connection, as it was told.
    };
    std::optional<vhost::ListeningSocket> listener_; // This, or the next, or neither.
    std::optional<FarListener> far_listener_;
    std::optional<vhost::Connection> connection_;
    std::optional<vhost::Session> session_;
    unsigned told_running_ = 0;
    bool told_silent_ = false; // That announcements fail.
    bool told_late_ = false;   // That translations do not come.
    unsigned lines_told_ = 0;  // In this session, of what a guest can cause.
    uint64_t sessions_ = 0;
    uint64_t late_translations_ = 0;
    std::array<uint64_t, vhost::protocol_fault_count> protocol_errors_{};

    MainLoop::Source on_front_end_;
    MainLoop::Source on_message_;
    MainLoop::Source on_attention_;
    MainLoop::Source on_unanswered_; // While the front end owes translations.
};

} // namespace tapline
