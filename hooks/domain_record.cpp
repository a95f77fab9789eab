#include "hooks/domain_record.h"

#include "backend/base/error.h"
#include "backend/record_folder.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glib.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
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

} // namespace

bool DomainRecord::exists(const std::string& uuid) {
    const std::string path = path_of(uuid);
    return access(path.c_str(), F_OK) == 0 || access(new_of(path).c_str(), F_OK) == 0;
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
    make_record_folder(folder);
    UniqueFd lock(::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock || flock(lock.get(), LOCK_EX) < 0) {
        throw Error::from_errno(fmt::format("lock {}", folder));
    }
    DomainRecord record(path, std::move(lock));
    unlink(new_of(path).c_str()); // Of a process that was killed when it had the lock.
    record.read();
    return record;
}

void DomainRecord::put(const MadeInterface& interface) {
    std::erase_if(interfaces_,
                  [&](const MadeInterface& each) { return each.device == interface.device; });
    interfaces_.push_back(interface);
    write();
}

void DomainRecord::drop(const std::string& device) {
    std::erase_if(interfaces_, [&](const MadeInterface& each) { return each.device == device; });
    if (!interfaces_.empty()) {
        write();
    } else if (unlink(path_.c_str()) < 0 && errno != ENOENT) {
        throw Error::from_errno(fmt::format("remove {}", path_));
    }
}

void DomainRecord::read() {
    const UniqueFd file = open_plain_file(path_);
    if (!file) {
        return;
    }
    try {
        const auto facts = Json::parse(read_start(file.get(), record_bytes_max));
        for (const Json& each : facts.at("interfaces")) {
            interfaces_.push_back({.device = each.at("device").get<std::string>(),
                                   .socket = each.at("socket").get<std::string>(),
                                   .description = each.at("description").get<std::string>(),
                                   .record_id = each.at("record").get<uint32_t>()});
            check_interface_name(interfaces_.back().device);
        }
    } catch (const nlohmann::json::exception&) {
        throw Error(
            {.operation = fmt::format("read {}", path_),
             .cause = "it is damaged",
             .next_step = "see `tapline list` for what was made, delete that and the file"});
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
    std::ofstream file(new_of(path_));
    file << text;
    if (!file.flush() || rename(new_of(path_).c_str(), path_.c_str()) < 0) {
        throw Error::from_errno(fmt::format("write {}", path_));
    }
}

} // namespace tapline::hooks
