#include "iouring/bench/bench_options.h"

#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/number.h"
#include "iouring/bench/devices.h"
#include "iouring/bench/rtt.h"
#include "iouring/bench/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace tapline::bench {
namespace {

constexpr Scenario scenarios[] = {
    {"devices", "make, list and delete devices, against the same requests bare",
     Scenario::Subject::devices, measure_devices},
    {"guest-to-wire", "frames that the guest sends", Scenario::Subject::frames,
     measure_guest_to_wire},
    {"wire-to-guest", "frames that the guest gets", Scenario::Subject::frames,
     measure_wire_to_guest},
    {"both", "frames both ways at once", Scenario::Subject::frames, measure_both},
    {"rtt", "pings to the guest, with pauses", Scenario::Subject::frames, measure_rtt},
};

constexpr unsigned rounds_max = 100000;
constexpr unsigned devices_max = 4000; // What a parent's one list of them is good for.
constexpr uint16_t queue_pairs_max = 16;
constexpr double seconds_min = 0.01;
constexpr double seconds_max = 3600;

// As they were given.
struct Texts {
    std::optional<std::string> scenario = {};
    std::optional<std::string> rounds = {};
    std::optional<std::string> devices = {};
    std::optional<std::string> program = {};
    std::optional<std::string> seconds = {};
    std::optional<std::string> baseline = {};
    std::optional<std::string> peer = {};
    std::optional<std::string> pump = {};
    std::optional<std::string> parent_kind = {};
    std::optional<std::string> frame_size = {};
    std::optional<std::string> ring = {};
    std::optional<std::string> queues = {};

    bool say_of_devices() const { return devices || program; }
    bool say_of_frames() const {
        return seconds || baseline || peer || pump || parent_kind || frame_size || ring || queues;
    }
};

const Scenario& find_scenario(const std::string& name) {
    const auto* found = std::ranges::find(scenarios, name, &Scenario::name);
    if (found == std::end(scenarios)) {
        std::string known;
        for (const Scenario& scenario : scenarios) {
            known += fmt::format("{}{}", known.empty() ? "" : ", ", scenario.name);
        }
        throw UsageError(fmt::format("no scenario '{}': there is {}", name, known));
    }
    return *found;
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> words;
    std::istringstream stream(text);
    for (std::string word; std::getline(stream, word, ',');) {
        words.push_back(word);
    }
    return words;
}

std::vector<unsigned> parse_counts(const std::string& text) {
    std::vector<unsigned> counts;
    for (const std::string& count : split(text)) {
        counts.push_back(parse_number("number of devices", count, 1U, devices_max));
    }
    if (counts.empty() || !std::ranges::is_sorted(counts, std::less_equal())) {
        throw UsageError("--devices needs numbers that grow, between commas");
    }
    return counts;
}

std::chrono::duration<double> parse_seconds(const std::string& text) {
    double seconds = 0;
    std::istringstream stream(text);
    stream.imbue(std::locale::classic());
    if (!(stream >> seconds) || !stream.eof() || seconds < seconds_min || seconds > seconds_max) {
        throw UsageError(fmt::format("--seconds '{}': not a number from {:g} to {:g}", text,
                                     seconds_min, seconds_max));
    }
    return std::chrono::duration<double>(seconds);
}

// One of the words, by its place.
template <typename Value>
Value parse_word(const char* option, const std::string& text,
                 std::initializer_list<std::pair<const char*, Value>> words) {
    std::string known;
    for (const auto& [word, value] : words) {
        if (text == word) {
            return value;
        }
        known += fmt::format("{}{}", known.empty() ? "" : " or ", word);
    }
    throw UsageError(fmt::format("{} is {}, not '{}'", option, known, text));
}

// Installed beside this program, as it is beside it where it was built.
std::string find_pump(const std::optional<std::string>& given) {
    const std::string program = given.value_or(
        std::filesystem::read_symlink("/proc/self/exe").parent_path() / "tapline-pump");
    if (!std::filesystem::exists(program)) {
        throw Error({.operation = fmt::format("find the pump, '{}'", program),
                     .cause = "there is no such file",
                     .next_step = "name it with --pump"});
    }
    return program;
}

void parse_engines(const Texts& texts, Options& options) {
    options.engines.push_back(Engine::pump(find_pump(texts.pump)));
    if (texts.peer) {
        options.engines.push_back(Engine::peer(*texts.peer));
    }
    options.baselines = split(texts.baseline.value_or("loop,bare"));
    for (const std::string& name : options.baselines) {
        options.engines.push_back(Engine::baseline(name));
    }
    std::erase_if(options.engines, [&](const Engine& engine) {
        const std::string obstacle = engine.obstacle(options.layout);
        if (!obstacle.empty()) {
            log(LogLevel::warning, "without {}: {}", engine.name, obstacle);
        }
        return !obstacle.empty();
    });
}

void parse_frame_options(const Texts& texts, Options& options) {
    if (texts.seconds) {
        options.time = parse_seconds(*texts.seconds);
    }
    if (texts.parent_kind) {
        options.wire = parse_word<WireKind>("--parent-kind", *texts.parent_kind,
                                            {{"veth", WireKind::veth}, {"ifb", WireKind::ifb}});
    }
    if (texts.frame_size) {
        options.mix = Mix::parse(*texts.frame_size);
    }
    if (texts.ring) {
        options.layout = parse_word<RingLayout>(
            "--ring", *texts.ring, {{"split", RingLayout::split}, {"packed", RingLayout::packed}});
    }
    if (texts.queues) {
        options.queue_pairs =
            parse_number<uint16_t>("number of queues", *texts.queues, 1, queue_pairs_max);
    }
    parse_engines(texts, options);
}

void declare(CommandLine& command_line, Texts& texts) {
    command_line.value("scenario", "NAME", "What to measure (default: devices)", texts.scenario);
    command_line.value("rounds", "N", "Times each thing is measured (default: 30 or 5)",
                       texts.rounds);
    command_line.value("devices", "N[,N...]",
                       "How many at the same time (default: 125,250,500,1000)", texts.devices);
    command_line.value("program", "PATH", "Measure also the processes of this tapline",
                       texts.program);
    command_line.value("seconds", "S", "How long a round moves frames (default: 0.5)",
                       texts.seconds);
    command_line.value("frame-size", "SIZE", "60 to 9014, 64k or imix (default: 60)",
                       texts.frame_size);
    command_line.value("ring", "LAYOUT", "split or packed (default: split)", texts.ring);
    command_line.value("queues", "N", "Queue pairs of the guest (default: 1)", texts.queues);
    command_line.value("parent-kind", "KIND", "veth or ifb (default: by scenario)",
                       texts.parent_kind);
    command_line.value("baseline", "NAME[,NAME...]",
                       "loop, bare and vhost-net (default: loop,bare)", texts.baseline);
    command_line.value("peer", "COMMAND", "Measure also this vhost-user backend", texts.peer);
    command_line.value("pump", "PATH", "The tapline-pump to measure (default: the one beside it)",
                       texts.pump);
}

} // namespace

Task parse_bench_options(const std::vector<std::string>& arguments) {
    Task task{.scenario = &scenarios[0], .options = {}, .report_folder = {}, .json = false};
    Texts texts;
    CommandLine command_line("", "Measure Tapline on this machine, in a network of its own.");
    declare(command_line, texts);
    command_line.flag("json", "Print the figures as a JSON object", task.json);
    command_line.value("report", "DIR", "Write report.json and plots there", task.report_folder);
    command_line.parse_options(arguments);
    if (texts.scenario) {
        task.scenario = &find_scenario(*texts.scenario);
    }
    const bool frames = task.scenario->subject == Scenario::Subject::frames;
    if (frames ? texts.say_of_devices() : texts.say_of_frames()) {
        throw UsageError(fmt::format("scenario '{}' has no {}", task.scenario->name,
                                     frames ? "--devices and no --program"
                                            : "option but --rounds, --devices and --program"));
    }
    if (texts.parent_kind == "ifb" && task.scenario->name != std::string("guest-to-wire")) {
        throw UsageError("no frame comes from an ifb: it is for guest-to-wire alone");
    }
    if (texts.rounds) {
        task.options.rounds = parse_number("number of rounds", *texts.rounds, 1U, rounds_max);
    }
    if (texts.devices) {
        task.options.device_counts = parse_counts(*texts.devices);
    }
    task.options.program = texts.program;
    if (frames) {
        parse_frame_options(texts, task.options);
    }
    return task;
}

} // namespace tapline::bench
