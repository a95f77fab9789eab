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
#include <map>
#include <sstream>

namespace tapline::bench {
namespace {

constexpr Scenario scenarios[] = {
    {"devices", "make, list and delete devices, against the same requests bare",
     " rounds devices program ", measure_devices},
    {"guest-to-wire", "frames that the guest sends",
     " rounds seconds frame-size ring queues parent-kind baseline peer pump zero-loss ",
     measure_guest_to_wire},
    {"wire-to-guest", "frames that the guest gets",
     " rounds seconds frame-size ring queues baseline peer pump zero-loss flood ",
     measure_wire_to_guest},
    {"both", "frames both ways at once",
     " rounds seconds frame-size ring queues baseline peer pump zero-loss flood ", measure_both},
    {"guest-to-guest", "frames from one guest to another, each with a backend",
     " rounds seconds frame-size ring queues baseline peer pump zero-loss ",
     measure_guest_to_guest},
    {"stream", "large TCP segments, one way and the other",
     " rounds seconds ring queues baseline peer pump ", measure_stream},
    {"rtt", "pings to the guest, with pauses",
     " rounds seconds frame-size ring baseline peer pump ", measure_rtt},
};

constexpr unsigned rounds_max = 100000;
constexpr unsigned devices_max = 4000; // What a parent's one list of them is good for.
constexpr uint16_t queue_pairs_max = 16;
constexpr double seconds_min = 0.01;
constexpr double seconds_max = 3600;

struct Option {
    const char* name;
    const char* argument;
    const char* help;
};

// All but those that every scenario takes.
constexpr Option known_options[] = {
    {"rounds", "N", "Times each thing is measured (default: by scenario)"},
    {"devices", "N[,N...]", "How many at the same time (default: 125,250,500,1000)"},
    {"program", "PATH", "Measure also the processes of this tapline"},
    {"seconds", "S", "How long a round moves frames (default: 0.5)"},
    {"frame-size", "SIZE", "60 to 9014, 64k or imix (default: 60)"},
    {"ring", "LAYOUT", "split or packed (default: split)"},
    {"queues", "N", "Queue pairs of a guest (default: 1)"},
    {"parent-kind", "KIND", "ifb or veth (default: ifb)"},
    {"baseline", "NAME[,NAME...]", "loop, bare and vhost-net (default: loop,bare)"},
    {"peer", "COMMAND", "Measure also this vhost-user backend"},
    {"pump", "PATH", "The tapline-pump to measure (default: the one beside it)"},
};

// What was given, by option.
using Texts = std::map<std::string, std::optional<std::string>>;

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

// What an option says wrongly is wrong usage.
template <typename Read> auto read_value(const char* option, Read read) {
    try {
        return read();
    } catch (const Error& error) {
        throw UsageError(fmt::format("{}: {}", option, error.what()));
    }
}

template <typename T> T parse_count(const char* option, const std::string& text, T max) {
    return read_value(option, [&] { return parse_number<T>("number", text, 1, max); });
}

std::vector<unsigned> parse_counts(const std::string& text) {
    std::vector<unsigned> counts;
    for (const std::string& count : split(text)) {
        counts.push_back(parse_count("--devices", count, devices_max));
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
    options.engines.push_back(Engine::pump(find_pump(texts.at("pump"))));
    if (const auto& peer = texts.at("peer")) {
        options.engines.push_back(Engine::peer(*peer));
    }
    options.baselines = split(texts.at("baseline").value_or("loop,bare"));
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
    if (const auto& seconds = texts.at("seconds")) {
        options.time = parse_seconds(*seconds);
    }
    if (const auto& kind = texts.at("parent-kind")) {
        options.wire = parse_word<WireKind>("--parent-kind", *kind,
                                            {{"veth", WireKind::veth}, {"ifb", WireKind::ifb}});
    }
    if (const auto& size = texts.at("frame-size")) {
        options.mix = read_value("--frame-size", [&] { return Mix::parse(*size); });
    }
    if (const auto& ring = texts.at("ring")) {
        options.layout = parse_word<RingLayout>(
            "--ring", *ring, {{"split", RingLayout::split}, {"packed", RingLayout::packed}});
    }
    if (const auto& queues = texts.at("queues")) {
        options.queue_pairs = parse_count("--queues", *queues, queue_pairs_max);
    }
    parse_engines(texts, options);
}

bool takes(const Scenario& scenario, const std::string& option) {
    return std::string_view(scenario.options).find(' ' + option + ' ') != std::string_view::npos;
}

void refuse_options_without_effect(const Scenario& scenario, const Texts& texts,
                                   const Options& options) {
    const auto refuse = [&](const std::string& option) {
        if (!takes(scenario, option)) {
            throw UsageError(fmt::format("scenario '{}' has no --{}", scenario.name, option));
        }
    };
    for (const auto& [option, text] : texts) {
        if (text) {
            refuse(option);
        }
    }
    if (options.zero_loss) {
        refuse("zero-loss");
    }
    if (options.flood) {
        refuse("flood");
    }
    if (options.zero_loss && options.flood) {
        throw UsageError("--zero-loss and --flood exclude each other");
    }
}

} // namespace

Task parse_bench_options(const std::vector<std::string>& arguments) {
    Task task{.scenario = &scenarios[0], .options = {}, .report_folder = {}, .json = false};
    Options& options = task.options;
    std::optional<std::string> scenario;
    Texts texts;
    CommandLine command_line("", "Measure Tapline on this machine, in a network of its own.");
    command_line.value("scenario", "NAME", "What to measure (default: devices)", scenario);
    for (const Option& option : known_options) {
        command_line.value(option.name, option.argument, option.help, texts[option.name]);
    }
    command_line.flag("zero-loss", "Find the highest rate without loss", options.zero_loss);
    command_line.flag("flood", "Let the wire send more than is taken", options.flood);
    command_line.flag("json", "Print the figures as a JSON object", task.json);
    command_line.value("report", "DIR", "Write report.json and plots there", task.report_folder);
    command_line.parse_options(arguments);
    if (scenario) {
        task.scenario = &find_scenario(*scenario);
    }
    refuse_options_without_effect(*task.scenario, texts, options);
    if (const auto& rounds = texts.at("rounds")) {
        options.rounds = parse_count("--rounds", *rounds, rounds_max);
    }
    if (const auto& devices = texts.at("devices")) {
        options.device_counts = parse_counts(*devices);
    }
    options.program = texts.at("program");
    if (takes(*task.scenario, "pump")) {
        parse_frame_options(texts, options);
    }
    return task;
}

} // namespace tapline::bench
