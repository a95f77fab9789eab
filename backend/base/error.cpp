#include "backend/base/error.h"

#include <fmt/format.h>

#include <system_error>

namespace tapline {
namespace {

std::string sentence(const Error::Parts& parts) {
    return parts.next_step.empty()
               ? fmt::format("{}: {}", parts.operation, parts.cause)
               : fmt::format("{}: {} ({})", parts.operation, parts.cause, parts.next_step);
}

} // namespace

Error::Error(const Parts& parts) : std::runtime_error(sentence(parts)), code_(parts.code) {}

Error Error::from_errno(std::string operation, std::string next_step, int code) {
    return Error({.operation = std::move(operation),
                  .cause = std::generic_category().message(code),
                  .next_step = std::move(next_step),
                  .code = code});
}

} // namespace tapline
