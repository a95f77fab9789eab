// Macvtap devices as a C program without a thought for anything else would make them: the requests
// and opens of OwnedMacvtap and TapQueue and nothing between them. What ours cost is told against
// this.
#pragma once

#include "backend/base/unique_fd.h"

#include <cstdint>
#include <vector>

namespace tapline::bench {

class BareMessage;

class BareDevices {
public:
    explicit BareDevices(int parent_index);

    int create(); // Its index.
    static std::vector<UniqueFd> open_queues(int index, unsigned count);
    void remove(int index);
    void list(); // The answer is read and forgotten.

private:
    int exchange(BareMessage& message);

    int parent_index_;
    uint32_t sequence_ = 0;
    uint32_t id_ = 1U << 30U; // As a record's, but for no file of its own.
    UniqueFd socket_;
    std::vector<char> answer_;
};

} // namespace tapline::bench
