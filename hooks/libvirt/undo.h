// Steps that are undone in reverse, unless all of what they belong to was done.
#pragma once

#include "backend/base/log.h"

#include <exception>
#include <functional>
#include <utility>
#include <vector>

namespace tapline::libvirt {

class Undo {
public:
    Undo() = default;
    Undo(const Undo&) = delete;
    Undo& operator=(const Undo&) = delete;
    ~Undo() {
        for (; !steps_.empty(); steps_.pop_back()) {
            try {
                steps_.back()();
            } catch (const std::exception& error) { // What failed first is thrown already.
                log(LogLevel::warning, "{}", error.what());
            }
        }
    }

    void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
    void forget() { steps_.clear(); }

private:
    std::vector<std::function<void()>> steps_;
};

} // namespace tapline::libvirt
