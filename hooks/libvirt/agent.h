// Keeps devices as their guests want them, where the owner allows it, and removes what dead guests
// left. Whatever the event was, all cards of its guest are looked at.
#pragma once

#include "backend/base/main_loop.h"
#include "backend/link_watch.h"
#include "backend/netlink.h"
#include "hooks/libvirt/card.h"
#include "hooks/libvirt/connection.h"
#include "hooks/libvirt/events.h"
#include "hooks/libvirt/log_limit.h"

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace tapline::libvirt {

class Agent {
public:
    struct Options {
        std::optional<std::string> uri; // Absent: libvirt's default.
        MulticastPolicy direct{};       // Of the devices that libvirt makes itself.
    };

    Agent(MainLoop& loop, Options options);

private:
    // Both or neither: what listens must go before what it listens to.
    struct Session {
        Session(Connection opened, const std::function<void()>& wake)
            : connection(std::move(opened)), events(connection, wake) {}
        Connection connection;
        Events events;
    };
    struct Device {
        int index = 0;             // Another one: made anew, without its filter.
        bool refused_told = false; // Until the guest uses the right address again.
        LogLimit refusals;         // What a guest does, it may do all day.
        LogLimit changes;
        LogLimit failures;
    };
    struct Guest {
        std::map<std::string, Device> devices; // By name.
        LogLimit silences;
        LogLimit failures;
    };

    static constexpr std::chrono::milliseconds reconnect_pause_min{100};

    void connect();
    void connect_later();
    void wake() noexcept;
    void work();
    void look_for_new_devices();
    void look_again();
    void look_at(const std::string& uuid);
    void look_at_running(const Domain& domain, Guest& guest);
    void sync(const Domain& domain, const Card& card, Device& seen);

    MainLoop& loop_;
    Options options_;
    Netlink netlink_ = Netlink::open();
    LinkWatch links_ = LinkWatch::open();
    std::unique_ptr<Session> session_;                      // Null: not connected.
    std::chrono::milliseconds pause_ = reconnect_pause_min; // Before the next try to connect,
    bool told_ = false;                                     // whose failure is in the log.
    std::set<std::string> domains_;                         // To look at,
    bool look_for_leftovers_ = false;
    bool waiting_ = false;                // as soon as work() runs.
    std::map<std::string, Guest> guests_; // That ran when they were looked at.
    std::set<std::string> silent_;        // Domains whose QEMU does not answer.
    MainLoop::Source link_source_;
    MainLoop::Source look_again_source_;
    MainLoop::Source work_source_;
    MainLoop::Source connect_source_;
};

} // namespace tapline::libvirt
