// What the pump tells on stdout with --json-status: one JSON object a line, `event` first.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace tapline {

class Status {
public:
    explicit Status(bool enabled) : enabled_(enabled) {}

    void tell(const char* event, const nlohmann::ordered_json& facts) const;

private:
    bool enabled_;
};

} // namespace tapline
