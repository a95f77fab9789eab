#include "iouring/status.h"

#include <fmt/format.h>

#include <cstdio>

namespace tapline {

void Status::tell(const char* event, const nlohmann::ordered_json& facts) const {
    if (!enabled_) {
        return;
    }
    nlohmann::ordered_json line = {{"event", event}};
    line.update(facts);
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
}

} // namespace tapline
