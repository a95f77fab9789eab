#include "hooks/pump_files.h"

#include "backend/base/error.h"
#include "backend/record_folder.h"

#include "config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string_view>

namespace tapline::hooks {
namespace {

constexpr auto folder = TAPLINE_RUNSTATE "/pumps";
constexpr std::string_view variable = "OPTIONS=";
constexpr size_t options_bytes_max = 65536;

} // namespace

PumpFiles::PumpFiles(const std::string& device)
    : options(fmt::format("{}/{}.options", folder, device)),
      new_options(options + ".new"),
      lock(fmt::format("{}/{}.lock", folder, device)),
      log(fmt::format("{}/{}.log", folder, device)),
      ready(fmt::format("{}/{}.ready", folder, device)) {}

void PumpFiles::write_options(const std::vector<std::string>& values) const {
    constexpr std::string_view special = " \t\n\"'\\$";
    for (const std::string& value : values) {
        if (value.find_first_of(special) != std::string::npos) {
            throw Error({.operation = fmt::format("write {}", options),
                         .cause = fmt::format("'{}' has blanks, quotes, backslashes or $", value),
                         .next_step = "use plain names and paths"});
        }
    }
    make_record_folder(folder);
    std::ofstream file(new_options);
    file << variable;
    for (const std::string& value : values) {
        file << value << ' ';
    }
    file << '\n';
    if (!file.flush() || rename(new_options.c_str(), options.c_str()) < 0) {
        throw Error::from_errno(fmt::format("write {}", options));
    }
}

std::vector<std::string> PumpFiles::read_options() const {
    const UniqueFd file = open_plain_file(options);
    const auto text = file ? read_start(file.get(), options_bytes_max) : std::string();
    if (!text) {
        throw Error::from_errno(fmt::format("read {}", options));
    }
    if (!text->starts_with(variable)) {
        throw Error({.operation = fmt::format("read {}", options),
                     .cause = "it holds no options of a pump"});
    }
    std::istringstream words(text->substr(variable.size()));
    return {std::istream_iterator<std::string>(words), {}};
}

bool PumpFiles::exist() const {
    return access(options.c_str(), F_OK) == 0 || access(new_options.c_str(), F_OK) == 0;
}

void PumpFiles::remove() const noexcept {
    for (const std::string& path :
         {lock, log, ready, new_options, options}) { // exist() until all are gone.
        unlink(path.c_str());
    }
}

} // namespace tapline::hooks
