// What the pump uses of io_uring. A test compares it with what the pump's ring really asks for.
#pragma once

#include <linux/io_uring.h>

#include <cstdint>

namespace tapline::doctor {

struct IoUringNeed {
    uint32_t value;
    const char* name;
};

// Each flag needs those before it at most.
constexpr IoUringNeed io_uring_setup_flags[] = {
    {IORING_SETUP_CQSIZE, "IORING_SETUP_CQSIZE"},
    {IORING_SETUP_R_DISABLED, "IORING_SETUP_R_DISABLED"},
    {IORING_SETUP_SUBMIT_ALL, "IORING_SETUP_SUBMIT_ALL"},
    {IORING_SETUP_SINGLE_ISSUER, "IORING_SETUP_SINGLE_ISSUER"},
    {IORING_SETUP_DEFER_TASKRUN, "IORING_SETUP_DEFER_TASKRUN"}};
constexpr IoUringNeed io_uring_features[] = {{IORING_FEAT_CQE_SKIP, "IORING_FEAT_CQE_SKIP"},
                                             {IORING_FEAT_EXT_ARG, "IORING_FEAT_EXT_ARG"}};
constexpr IoUringNeed io_uring_operations[] = {{IORING_OP_READ, "IORING_OP_READ"},
                                               {IORING_OP_READV, "IORING_OP_READV"},
                                               {IORING_OP_READ_FIXED, "IORING_OP_READ_FIXED"},
                                               {IORING_OP_WRITE, "IORING_OP_WRITE"},
                                               {IORING_OP_WRITEV, "IORING_OP_WRITEV"},
                                               {IORING_OP_POLL_ADD, "IORING_OP_POLL_ADD"}};

} // namespace tapline::doctor
