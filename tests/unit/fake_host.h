// A host as `tapline doctor` sees it: files below a folder that goes with the test.
#pragma once

#include "backend/doctor/check.h"
#include "backend/doctor/host.h"

#include <glib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <stdexcept>
#include <string>

namespace tapline::doctor {

inline void PrintTo(State state, std::ostream* out) {
    *out << to_text(state);
}

class FakeHost {
public:
    FakeHost() {
        g_autofree gchar* made = g_dir_make_tmp("tapline-host-XXXXXX", nullptr);
        root_ = made;
    }
    ~FakeHost() { std::filesystem::remove_all(root_); }
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;

    Host host() const { return Host(root_); }

    void write(const std::string& path, const std::string& text) const {
        const std::filesystem::path file = root_ + path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }

    void set_mode(const std::string& path, unsigned mode) const {
        std::filesystem::permissions(root_ + path, static_cast<std::filesystem::perms>(mode));
    }

private:
    std::string root_;
};

// The one of that name; throws where there is none.
inline Check check_of(const Checks& checks, const std::string& name) {
    const auto found = std::ranges::find(checks, name, &Check::name);
    return found == checks.end() ? throw std::out_of_range(name) : *found;
}

} // namespace tapline::doctor
