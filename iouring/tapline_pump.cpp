// tapline-pump: one guest NIC in the foreground, from the first front end to SIGTERM.
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/main_loop.h"
#include "backend/base/output.h"
#include "backend/base/program.h"
#include "backend/base/readiness.h"
#include "backend/json.h"
#include "backend/link_watch.h"
#include "backend/node_users.h"
#include "backend/reconcile.h"
#include "backend/tap_queue.h"
#include "iouring/pump_options.h"
#include "iouring/server.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tapline {
namespace {

// The host side of the NIC while the pump runs.
struct HostSide {
    Netlink netlink = Netlink::open();
    std::optional<OwnedMacvtap> made;    // Deleted when the pump ends.
    std::optional<MacvtapDevice> device; // None where only its queues were given.
    nlohmann::ordered_json facts = nlohmann::ordered_json::object();
    std::vector<TapQueue> queues;
    std::vector<std::unique_ptr<ExpressLane>> express_lanes; // One a queue, or none.
};

void set_up(HostSide& host, const InterfaceSpec& spec) {
    host.made.emplace(create_over_leftovers(host.netlink, spec));
    const MacvtapDevice& device = host.device.emplace(host.made->device());
    grant_node(device, spec);
    host.queues = open_queues(device, spec.queue_pairs());
    host.facts = to_json(device);
}

// Each open queue gets a share of the frames, whether somebody reads it or not.
void warn_of_other_users(const MacvtapDevice& device) {
    try {
        if (const auto user = find_node_user(device)) {
            log(LogLevel::warning,
                "'{}' is open in {} (process {}), which gets a share of its frames", device.name,
                user->program, user->pid);
        }
    } catch (const Error&) {} // Without the right to look into processes nobody can tell.
}

void set_up(HostSide& host, const PumpOptions::ExistingDevice& existing) {
    const MacvtapDevice& device = host.device.emplace(find_macvtap(host.netlink, existing.name));
    warn_of_other_users(device);
    host.queues = open_queues(device, existing.queue_pairs);
    host.facts = to_json(device);
}

void set_up(HostSide& host, std::vector<UniqueFd>& fds) {
    for (UniqueFd& fd : fds) {
        host.queues.push_back(TapQueue::adopt(std::move(fd)));
    }
    host.facts["device"] = host.queues.front().device_name();
}

void open_express_lanes(HostSide& host) {
    if (!host.device) {
        throw Error({.operation = "open the express lane",
                     .cause = "tap descriptors do not tell which device they belong to",
                     .next_step = "use --parent or --device"});
    }
    for (size_t i = 0; i < host.queues.size(); ++i) {
        host.express_lanes.push_back(ExpressLane::open(*host.device));
    }
}

void set_up_express_lanes(HostSide& host, ExpressLaneUse use) {
    if (use != ExpressLaneUse::off) {
        try {
            open_express_lanes(host);
        } catch (const Error& error) {
            if (use == ExpressLaneUse::required) {
                throw;
            }
            host.express_lanes.clear();
            host.facts["express_lane_refusal"] = error.what();
        }
    }
    host.facts["express_lane"] = !host.express_lanes.empty();
}

// A socket that listens, where one listens that is to be found again, or the only connection there
// will be.
using FrontEnds = std::variant<vhost::ListeningSocket, PumpOptions::ConnectTo, UniqueFd>;

FrontEnds open_front_ends(const PumpOptions::ListenAt& here) {
    return vhost::ListeningSocket::bind(here.path);
}

FrontEnds open_front_ends(const PumpOptions::ConnectTo& there) {
    if (there.reconnect) {
        vhost::check_socket_path(there.path); // Anything else may mend itself.
        return there;
    }
    return vhost::connect_to(there.path);
}

FrontEnds open_front_ends(UniqueFd& fd) {
    switch (vhost::kind_of_socket(fd.get())) {
    case vhost::SocketKind::listening:
        return vhost::ListeningSocket(std::move(fd));
    case vhost::SocketKind::connected:
        break;
    }
    return std::move(fd);
}

void tell_path(nlohmann::ordered_json& facts, const PumpOptions::ListenAt& here) {
    facts["socket"] = here.path;
}

void tell_path(nlohmann::ordered_json& facts, const PumpOptions::ConnectTo& there) {
    facts["socket"] = there.path;
}

void tell_path(nlohmann::ordered_json&, const UniqueFd&) {}

void serve(Server& server, vhost::ListeningSocket& socket) {
    server.listen(std::move(socket));
}

void serve(Server& server, PumpOptions::ConnectTo& there) {
    server.keep_connecting(there.path, *there.reconnect);
}

void serve(Server& server, UniqueFd& connected) {
    server.serve_only(std::move(connected));
}

// 128 queue pairs hold nine descriptors each, more than the usual soft limit.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int run(const std::vector<std::string>& arguments) {
    PumpOptions options = parse_pump_options(arguments);
    if (options.print_capabilities) { // QEMU docs/interop/vhost-user.json
        print("{}\n", to_line({{"type", "net"}}));
        return 0;
    }
    raise_descriptor_limit();
    MainLoop loop;
    // First of all: from here on a signal leads through every destructor.
    const auto on_terminate = loop.on_signal(SIGTERM, [&] { loop.quit(); });
    const auto on_interrupt = loop.on_signal(SIGINT, [&] { loop.quit(); });
    const auto on_hang_up = loop.on_signal(SIGHUP, [&] { loop.quit(); });

    options.network_namespace.enter();
    FrontEnds front_ends =
        std::visit([](auto& where) { return open_front_ends(where); }, options.front_end);
    HostSide host;
    std::visit([&](auto& source) { set_up(host, source); }, options.tap_queues);
    set_up_express_lanes(host, options.express_lane);
    Pump pump(std::move(host.queues), options.policy, std::move(host.express_lanes));
    Status status(options.json_status);
    Server server(loop, pump, status);

    LinkWatch links = LinkWatch::open();
    const auto on_link = loop.on_readable(links.fd(), [&] {
        links.drain();
        pump.check_devices();
    });
    pump.check_devices();

    std::visit([&](const auto& where) { tell_path(host.facts, where); }, options.front_end);
    host.facts["queue_pairs"] = pump.queue_pairs();
    status.tell("listening", host.facts);
    log(LogLevel::info, "ready: {}", to_line(host.facts));
    std::visit([&](auto& source) { serve(server, source); }, front_ends);
    tell_ready();
    const auto tell_stopped = [&] {
        server.stop();
        status.tell("stopped", {{"counters", server.counters()}});
    };
    try {
        loop.run();
    } catch (...) {
        tell_stopped();
        throw;
    }
    tell_stopped();
    return 0;
}

} // namespace
} // namespace tapline

int main(int argc, char** argv) {
    return tapline::run_program("tapline-pump", [&] { return tapline::run({argv, argv + argc}); });
}
