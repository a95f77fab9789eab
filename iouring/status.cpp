#include "iouring/status.h"

#include "backend/base/log.h"
#include "backend/json.h"

#include <nlohmann/json.hpp>

#include <unistd.h>

namespace tapline {

void Status::tell(const char* event, const nlohmann::ordered_json& facts) const {
    if (!enabled_) {
        return;
    }
    nlohmann::ordered_json line = {{"event", event}};
    line.update(facts);
    write_line(STDOUT_FILENO, to_line(line));
}

} // namespace tapline
