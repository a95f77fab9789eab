#include "backend/doctor/version.h"

#include "backend/base/number.h"

#include <regex>

namespace tapline::doctor {

std::optional<Version> version_in(const std::string& text) {
    static const std::regex pattern(R"((\d{1,5})\.(\d{1,5}))");
    std::smatch found;
    if (!std::regex_search(text, found, pattern)) {
        return std::nullopt;
    }
    const auto part = [&](size_t index) {
        return parse_number<unsigned>("version", found.str(index), 0, 99999);
    };
    return Version{part(1), part(2)};
}

} // namespace tapline::doctor
