// A backend that is a program of its own and listens on a Unix socket.
#pragma once

#include "backend/child_process.h"
#include "iouring/bench/backend.h"
#include "iouring/bench/front_end.h"

#include <string>
#include <vector>

namespace tapline::bench {

class ProcessBackend final : public Backend {
public:
    // Starts the command, which shall listen at socket_path. Throws Error, with its last words.
    ProcessBackend(std::vector<std::string> command, const std::string& socket_path);
    ~ProcessBackend() override;

    uint64_t offered_features() override { return front_end_.offered_features(); }
    void start(uint64_t features, const GuestRam& ram, std::span<const SharedRing> rings) override {
        front_end_.start(features, ram, rings);
    }
    uint64_t cpu_ns() const override;

private:
    FrontEnd connect(const std::string& socket_path);
    void end() noexcept;
    std::string last_words() const;

    UniqueFd output_;
    ChildProcess process_;
    FrontEnd front_end_;
};

} // namespace tapline::bench
