#include "backend/doctor/host.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace tapline::doctor {
namespace {

// A line of modules.builtin is a path, one of modules.dep a path, a colon and more paths; the file
// may be compressed: kernel/drivers/net/macvtap.ko.xz.
bool lists_module(const std::vector<std::string>& lines, const std::string& name) {
    const std::string file = fmt::format("/{}.ko", name);
    return std::ranges::any_of(lines, [&](const std::string& line) {
        return line.substr(0, line.find(':')).find(file) != std::string::npos;
    });
}

template <typename T> T number_in(const std::string& text, int base) {
    T value{};
    std::from_chars(text.data(), text.data() + text.size(), value, base);
    return value;
}

} // namespace

bool Host::has(const std::string& path) const {
    std::error_code unreadable;
    return std::filesystem::exists(root_ + path, unreadable);
}

bool Host::may_use(const std::string& path) const {
    return access((root_ + path).c_str(), R_OK | W_OK) == 0;
}

std::optional<FileRights> Host::rights(const std::string& path) const {
    const std::string file = root_ + path;
    struct stat facts {};
    if (stat(file.c_str(), &facts) < 0) {
        return std::nullopt;
    }
    return FileRights{.owner = facts.st_uid,
                      .mode = facts.st_mode,
                      .has_capabilities =
                          getxattr(file.c_str(), "security.capability", nullptr, 0) > 0};
}

std::string Host::line(const std::string& path) const {
    const auto all = lines(path);
    return all.empty() ? "" : all.front();
}

std::vector<std::string> Host::lines(const std::string& path) const {
    std::ifstream file(root_ + path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) {
        all.push_back(line);
    }
    return all;
}

std::vector<std::string> Host::names_in(const std::string& folder) const {
    std::vector<std::string> names;
    std::error_code unreadable;
    for (const auto& entry : std::filesystem::directory_iterator(root_ + folder, unreadable)) {
        names.push_back(entry.path().filename());
    }
    return names;
}

ModuleState Host::module(const std::string& name, const std::string& sign) const {
    const auto loaded = lines("/proc/modules");
    const std::string folder = fmt::format("/lib/modules/{}", kernel_release());
    if (std::ranges::any_of(
            loaded, [&](const std::string& line) { return line.starts_with(name + ' '); })) {
        return ModuleState::loaded;
    }
    if (has(sign) || lists_module(lines(folder + "/modules.builtin"), name)) {
        return ModuleState::built_in;
    }
    if (lists_module(lines(folder + "/modules.dep"), name)) {
        return ModuleState::loadable;
    }
    const bool takes_modules = has("/proc/modules");
    return takes_modules && !has(folder + "/modules.dep") ? ModuleState::unknown
                                                          : ModuleState::absent;
}

bool Host::has_capability(unsigned number) const {
    constexpr std::string_view key = "CapEff:\t";
    for (const std::string& line : lines("/proc/self/status")) {
        if (line.starts_with(key)) {
            return (number_in<uint64_t>(line.substr(key.size()), 16) >> number & 1) != 0;
        }
    }
    return false;
}

// The fifth field is the mount point; the type follows a lone hyphen. The last line counts, as it
// is mounted over the others.
std::string Host::type_of_mount(const std::string& path) const {
    std::string type;
    for (const std::string& line : lines("/proc/self/mountinfo")) {
        std::istringstream fields(line);
        std::string field;
        for (int i = 0; i < 5; ++i) {
            fields >> field;
        }
        if (field == path) {
            while (fields >> field && field != "-") {}
            fields >> type;
        }
    }
    return type;
}

unsigned long Host::hugepages() const {
    const std::string folder = "/sys/kernel/mm/hugepages";
    unsigned long pages = 0;
    for (const std::string& size : names_in(folder)) {
        pages +=
            number_in<unsigned long>(line(fmt::format("{}/{}/nr_hugepages", folder, size)), 10);
    }
    return pages;
}

} // namespace tapline::doctor
