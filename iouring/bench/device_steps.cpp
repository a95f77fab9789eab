#include "iouring/bench/device_steps.h"

#include "backend/base/error.h"
#include "backend/macvtap_device.h"
#include "backend/tap_queue.h"
#include "iouring/bench/durations.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace tapline::bench {
namespace {

// Its output is thrown away; what it has to complain of is ours, too.
void run(std::vector<std::string> command) {
    std::vector<char*> argv;
    std::ranges::transform(command, std::back_inserter(argv),
                           [](std::string& argument) { return argument.data(); });
    argv.push_back(nullptr);
    constexpr auto flags =
        static_cast<GSpawnFlags>(G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL);
    gint status = 0;
    g_autoptr(GError) failure = nullptr;
    if (g_spawn_sync(nullptr, argv.data(), nullptr, flags, nullptr, nullptr, nullptr, nullptr,
                     &status, &failure) == FALSE ||
        g_spawn_check_wait_status(status, &failure) == FALSE) {
        throw Error({.operation = fmt::format("run {} {}", command[0], command[1]),
                     .cause = failure->message});
    }
}

std::vector<std::string> names_of(const std::vector<MacvtapDevice>& devices) {
    std::vector<std::string> names;
    std::ranges::transform(devices, std::back_inserter(names), &MacvtapDevice::name);
    return names;
}

// As `tapline delete` does it.
void delete_by_name(Netlink& netlink, const std::string& name) {
    const MacvtapDevice device = find_our_macvtap(netlink, name, "delete");
    (void)read_device_record(*device.record_id);
    delete_macvtap(netlink, device);
}

InterfaceSpec spec_on(const std::string& parent) {
    return InterfaceSpec::parse({.parent = parent});
}

Crowd shared_by(Crowd total, unsigned count) {
    return {.create_us = total.create_us / count,
            .list_us = total.list_us / count,
            .delete_us = total.delete_us / count};
}

void expect_count(size_t found, unsigned count) {
    if (found != count) {
        throw Error({.operation = "list the devices that were made",
                     .cause = fmt::format("{} instead of {}", found, count)});
    }
}

} // namespace

Life live(Netlink& netlink, const std::string& parent, unsigned queues) {
    const InterfaceSpec spec = spec_on(parent);
    Life life{};
    Stopwatch watch;
    {
        const OwnedMacvtap owned = OwnedMacvtap::create(netlink, spec);
        life.create_us = watch.lap_us();
        const auto opened = open_queues(owned.device(), static_cast<uint16_t>(queues));
        life.open_us = watch.lap_us();
    }
    life.delete_us = watch.lap_us();
    return life;
}

Life live(BareDevices& bare, unsigned queues) {
    Life life{};
    Stopwatch watch;
    const int index = bare.create();
    life.create_us = watch.lap_us();
    {
        const auto opened = BareDevices::open_queues(index, queues);
        life.open_us = watch.lap_us();
    }
    bare.remove(index);
    life.delete_us = watch.lap_us();
    return life;
}

Crowd crowd(Netlink& netlink, const std::string& parent, unsigned count) {
    const InterfaceSpec spec = spec_on(parent);
    Crowd total{};
    Stopwatch watch;
    for (unsigned i = 0; i < count; ++i) {
        OwnedMacvtap::create(netlink, spec).keep();
    }
    total.create_us = watch.lap_us();
    const auto devices = list_macvtaps(netlink);
    expect_count(read_device_records().found.size(), count);
    total.list_us = watch.lap_us();
    expect_count(devices.size(), count);
    const auto names = names_of(devices);
    watch.lap_us();
    for (const std::string& name : names) {
        delete_by_name(netlink, name);
    }
    total.delete_us = watch.lap_us();
    return shared_by(total, count);
}

Crowd crowd(BareDevices& bare, unsigned count) {
    Crowd total{};
    std::vector<int> indices(count);
    Stopwatch watch;
    std::ranges::generate(indices, [&] { return bare.create(); });
    total.create_us = watch.lap_us();
    bare.list();
    total.list_us = watch.lap_us();
    std::ranges::for_each(indices, [&](int index) { bare.remove(index); });
    total.delete_us = watch.lap_us();
    return shared_by(total, count);
}

Crowd crowd(const std::string& program, const std::string& parent, unsigned count) {
    Crowd total{};
    Stopwatch watch;
    for (unsigned i = 0; i < count; ++i) {
        run({program, "create", "--parent", parent});
    }
    total.create_us = watch.lap_us();
    run({program, "list", "--json"});
    total.list_us = watch.lap_us();
    Netlink netlink = Netlink::open();
    std::vector<std::string> removal = names_of(list_macvtaps(netlink));
    expect_count(removal.size(), count);
    removal.insert(removal.begin(), {program, "delete"});
    watch.lap_us();
    run(std::move(removal));
    total.delete_us = watch.lap_us();
    return shared_by(total, count);
}

} // namespace tapline::bench
