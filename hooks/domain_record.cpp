#include "hooks/domain_record.h"

#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/record_folder.h"

#include "config.h"

#include <fmt/format.h>
#include <glib.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace tapline::hooks {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto folder = TAPLINE_RUNSTATE "/domains";
constexpr size_t record_bytes_max = 1 << 20;

std::string path_of(const std::string& uuid) {
    if (g_uuid_string_is_valid(uuid.c_str()) == 0) {
        throw Error({.operation = "find the record of the domain",
                     .cause = fmt::format("'{}' is no UUID", uuid)});
    }
    return fmt::format("{}/{}", folder, uuid);
}

// Under this name it is written.
std::string new_of(const std::string& path) {
    return path + ".new";
}

// Whatever it is, and wherever it leads.
bool is_there(const std::string& path) {
    struct stat facts {};
    return lstat(path.c_str(), &facts) == 0;
}

[[noreturn]] void refuse_record(const std::string& path, const std::string& cause) {
    throw Error({.operation = fmt::format("read {}", path),
                 .cause = cause,
                 .next_step = fmt::format("see `tapline list` for what was made for the domain, "
                                          "`tapline delete` that, then rm -r {}",
                                          path)});
}

// None where there is no file.
std::vector<MadeInterface> read(const std::string& path) {
    std::vector<MadeInterface> found;
    const UniqueFd file = open_plain_file(path);
    if (!file && is_there(path)) {
        refuse_record(path, "it is no plain file");
    }
    if (!file) {
        return found;
    }
    const auto text = read_start(file.get(), record_bytes_max);
    if (!text) {
        throw Error::from_errno(fmt::format("read {}", path));
    }
    try {
        const auto facts = Json::parse(*text);
        for (const Json& each : facts.at("interfaces")) {
            found.push_back({.device = each.at("device").get<std::string>(),
                             .socket = each.at("socket").get<std::string>(),
                             .description = each.at("description").get<std::string>(),
                             .record_id = each.at("record").get<uint32_t>()});
            check_interface_name(found.back().device);
        }
    } catch (const std::exception&) {
        refuse_record(path, "it is damaged");
    }
    return found;
}

// A damaged record is not in the way of other domains.
std::vector<MadeInterface> interfaces_of(const std::string& uuid) {
    try {
        return read(path_of(uuid));
    } catch (const Error& error) {
        log(LogLevel::warning, "{}", error.what());
        return {};
    }
}

bool has_same_socket(const MadeInterface& one, const MadeInterface& other) {
    return !one.socket.empty() && one.socket == other.socket;
}

[[noreturn]] void refuse(const MadeInterface& interface, const std::string& cause) {
    throw Error({.operation = fmt::format("create '{}'", interface.device),
                 .cause = cause,
                 .next_step = "give each card an address and a socket of its own"});
}

} // namespace

bool DomainRecord::exists(const std::string& uuid) {
    const std::string path = path_of(uuid);
    return has_record_folder(folder) &&
           (is_there(path) || is_there(new_of(path)) || DomainLock::exists(uuid));
}

std::vector<std::string> DomainRecord::uuids() {
    std::vector<std::string> found;
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failure)) {
        const std::string name = entry.path().filename();
        if (g_uuid_string_is_valid(name.c_str()) != 0) { // Else one that is being written.
            found.push_back(name);
        }
    }
    if (failure && failure != std::errc::no_such_file_or_directory) {
        throw Error::from_errno(fmt::format("list {}", folder), {}, failure.value());
    }
    return found;
}

// Each writing makes a new file.
std::optional<std::string> DomainRecord::version(const std::string& uuid) {
    struct stat file {};
    if (stat(path_of(uuid).c_str(), &file) < 0) {
        return std::nullopt;
    }
    return fmt::format("{} {} {}", file.st_ino, file.st_ctim.tv_sec, file.st_ctim.tv_nsec);
}

DomainRecord DomainRecord::open(const std::string& uuid) {
    const std::string path = path_of(uuid);
    DomainRecord record(uuid, DomainLock::take(uuid));
    unlink(new_of(path).c_str()); // Of a process that was killed when it had the lock.
    record.interfaces_ = read(path);
    return record;
}

void DomainRecord::put(const MadeInterface& interface) {
    // Two domains that start at once must not find the same name free.
    std::optional<DomainLock> names;
    if (!has_claim(interface)) {
        names.emplace(DomainLock::take("names"));
        check_claim(interface);
    }
    std::erase_if(interfaces_,
                  [&](const MadeInterface& each) { return each.device == interface.device; });
    interfaces_.push_back(interface);
    write();
}

void DomainRecord::drop(const std::string& device) {
    std::erase_if(interfaces_, [&](const MadeInterface& each) { return each.device == device; });
    const std::string path = path_of(uuid_);
    if (!interfaces_.empty()) {
        write();
    } else if (unlink(path.c_str()) < 0 && errno != ENOENT) {
        throw Error::from_errno(fmt::format("remove {}", path));
    }
}

bool DomainRecord::has_claim(const MadeInterface& interface) const {
    return std::ranges::any_of(interfaces_, [&](const MadeInterface& own) {
        return own.device == interface.device && own.socket == interface.socket;
    });
}

void DomainRecord::check_claim(const MadeInterface& interface) const {
    for (const MadeInterface& own : interfaces_) {
        if (own.device != interface.device && has_same_socket(own, interface)) {
            refuse(interface, fmt::format("'{}' of the same domain has the socket {}", own.device,
                                          own.socket));
        }
    }
    for (const std::string& other : uuids()) {
        if (other == uuid_) {
            continue;
        }
        for (const MadeInterface& made : interfaces_of(other)) {
            if (made.device == interface.device) {
                refuse(interface, fmt::format("domain {} has a device of that name", other));
            }
            if (has_same_socket(made, interface)) {
                refuse(interface, fmt::format("'{}' of domain {} has the socket {}", made.device,
                                              other, made.socket));
            }
        }
    }
}

// Whole or not at all.
void DomainRecord::write() const {
    Json list = Json::array();
    for (const MadeInterface& each : interfaces_) {
        list.push_back({{"device", each.device},
                        {"socket", each.socket},
                        {"description", each.description},
                        {"record", each.record_id}});
    }
    const std::string text =
        Json{{"interfaces", list}}.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
    const std::string path = path_of(uuid_);
    std::ofstream file(new_of(path));
    file << text;
    if (!file.flush() || rename(new_of(path).c_str(), path.c_str()) < 0) {
        throw Error::from_errno(fmt::format("write {}", new_of(path)));
    }
}

} // namespace tapline::hooks
