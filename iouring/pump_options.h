// What the command line of tapline-pump asks for, checked.
#pragma once

#include "backend/base/unique_fd.h"
#include "backend/interface_options.h"
#include "iouring/pump.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tapline {

enum class ExpressLaneUse : uint8_t { off, where_possible, required };

struct PumpOptions {
    struct ListenAt {
        std::string path;
    };
    struct ConnectTo {
        std::string path;
        std::optional<std::chrono::milliseconds> reconnect; // Absent: once, and only now.
    };
    struct ExistingDevice {
        std::string name;
        uint16_t queue_pairs;
    };

    NetworkNamespaceOption network_namespace;
    std::variant<ListenAt, ConnectTo, UniqueFd> front_end; // The last is a socket.
    std::variant<InterfaceSpec, ExistingDevice, std::vector<UniqueFd>> tap_queues; // Last: opened.
    Pump::Policy policy;
    ExpressLaneUse express_lane;
    bool json_status;
    bool print_capabilities; // Then nothing else is set.
};

// Throws UsageError for options that do not go together, Error for values that cannot be.
PumpOptions parse_pump_options(const std::vector<std::string>& arguments);

} // namespace tapline
