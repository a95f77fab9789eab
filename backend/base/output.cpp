#include "backend/base/output.h"

#include "backend/base/error.h"

#include <cstdio>

namespace tapline {

void print_text(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
        std::fflush(stdout) != 0) {
        throw Error::from_errno("write to standard output");
    }
}

} // namespace tapline
