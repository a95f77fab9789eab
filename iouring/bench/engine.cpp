#include "iouring/bench/engine.h"

#include "backend/base/error.h"
#include "backend/tap_queue.h"
#include "iouring/bench/bare_io.h"
#include "iouring/bench/guest_nic.h"
#include "iouring/bench/loop_backend.h"
#include "iouring/bench/process_backend.h"
#include "iouring/bench/vhost_net.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <array>
#include <utility>

namespace tapline::bench {
namespace {

constexpr std::array<std::pair<const char*, Engine::Kind>, 3> baselines = {
    {{"loop", Engine::Kind::loop},
     {"bare", Engine::Kind::bare},
     {"vhost-net", Engine::Kind::vhost_net}}};

std::vector<std::string> filled_in(std::vector<std::string> words,
                                   const std::vector<std::pair<std::string, std::string>>& values) {
    for (std::string& word : words) {
        for (const auto& [name, value] : values) {
            for (size_t at = word.find(name); at != std::string::npos;
                 at = word.find(name, at + value.size())) {
                word.replace(at, name.size(), value);
            }
        }
    }
    return words;
}

std::string next_socket_path() {
    static unsigned number = 0;
    return fmt::format("/run/bench-{}.socket", number++);
}

} // namespace

Engine Engine::pump(const std::string& program) {
    return {.kind = Kind::pump,
            .name = "pump",
            .command = {program, "--socket-path", "{socket}", "--device", "{device}", "--queues",
                        "{queues}"}};
}

Engine Engine::peer(const std::string& command_line) {
    g_autoptr(GError) failure = nullptr;
    g_auto(GStrv) words = nullptr;
    if (g_shell_parse_argv(command_line.c_str(), nullptr, &words, &failure) == FALSE) {
        throw UsageError(fmt::format("--peer '{}': {}", command_line, failure->message));
    }
    Engine engine{.kind = Kind::peer, .name = "peer"};
    for (char** word = words; *word != nullptr; ++word) {
        engine.command.emplace_back(*word);
    }
    if (command_line.find("{socket}") == std::string::npos) {
        throw UsageError("--peer needs {socket} in its command");
    }
    return engine;
}

Engine Engine::baseline(const std::string& name) {
    const auto* found = std::ranges::find(
        baselines, name, [](const auto& known) { return std::string(known.first); });
    if (found == baselines.end()) {
        throw UsageError(fmt::format("no baseline '{}': there is loop, bare and vhost-net", name));
    }
    return {.kind = found->second, .name = name};
}

std::string Engine::obstacle(RingLayout layout) const {
    if (kind == Kind::vhost_net) {
        return VhostNet::obstacle(layout);
    }
    return {};
}

std::unique_ptr<Station> Engine::start(const StationPlan& plan, const MacvtapDevice& device) const {
    const auto on_backend = [&plan](auto backend) {
        return std::make_unique<GuestNic>(plan, std::move(backend));
    };
    const std::string socket_path = next_socket_path();
    switch (kind) {
    case Kind::loop:
        return on_backend(
            std::make_unique<LoopBackend>(open_queues(device, plan.queue_pairs), socket_path));
    case Kind::bare:
        return std::make_unique<BareIo>(open_queues(device, plan.queue_pairs), plan);
    case Kind::vhost_net:
        return on_backend(std::make_unique<VhostNet>(open_queues(device, plan.queue_pairs)));
    case Kind::pump:
    case Kind::peer:
        break;
    }
    return on_backend(std::make_unique<ProcessBackend>(
        filled_in(command, {{"{socket}", socket_path},
                            {"{device}", device.name},
                            {"{queues}", std::to_string(plan.queue_pairs)}}),
        socket_path));
}

} // namespace tapline::bench
