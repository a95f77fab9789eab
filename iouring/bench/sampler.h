// The far side as a close look at some of the frames that come there. It costs whoever sends them,
// so it is not there while figures are taken: the kernel counts frames at no cost.
#pragma once

#include "backend/base/unique_fd.h"
#include "iouring/bench/frame.h"

#include <vector>

namespace tapline::bench {

class Sampler {
public:
    explicit Sampler(int interface_index); // Throws Error.

    void look() noexcept; // At what has come.
    const Inspector& inspector() const { return inspector_; }

private:
    UniqueFd socket_;
    std::vector<std::byte> frame_;
    Inspector inspector_;
};

} // namespace tapline::bench
