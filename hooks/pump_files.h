// What a pump's service keeps in /run/tapline/pumps while it is there.
#pragma once

#include <string>
#include <vector>

namespace tapline::hooks {

struct PumpFiles {
    explicit PumpFiles(const std::string& device);

    std::string options;     // "OPTIONS=..." of the pump, for systemd's EnvironmentFile= as well.
    std::string new_options; // While they are written.
    std::string lock;        // Held by the keeper, which is without systemd, and names it.
    std::string log;         // Of the keeper and the pump.
    std::string ready;       // A socket, while the pump starts.

    // Whole or not at all: a pump may read them. Throws Error where an option cannot stand in a
    // list with blanks between.
    void write_options(const std::vector<std::string>& values) const;
    std::vector<std::string> read_options() const;
    // From before the pump is started until after its end.
    bool exist() const;
    void remove() const noexcept;
};

} // namespace tapline::hooks
