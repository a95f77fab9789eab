#include "backend/device_record.h"

#include "backend/base/error.h"
#include "backend/network_namespace.h"
#include "backend/record_folder.h"
#include "backend/whole_number.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glib.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <exception>
#include <filesystem>
#include <random>
#include <string_view>

namespace tapline {
namespace {

namespace fs = std::filesystem;

constexpr auto folder = TAPLINE_RUNSTATE "/devices";
constexpr std::string_view alias_mark = "tapline ";
constexpr std::string_view kept_suffix = ".kept";
constexpr size_t record_bytes_max = 4096;

std::string owned_path(uint32_t id) {
    return fmt::format("{}/{:08x}", folder, id);
}

std::string kept_path(uint32_t id) {
    return owned_path(id) + std::string(kept_suffix);
}

// Over every group an administrator would give: until its alias is set, a device is known by it.
uint32_t random_id() {
    constexpr uint32_t id_min = 1U << 30U;
    std::random_device random;
    return id_min | (random() & (id_min - 1));
}

std::optional<uint32_t> parse_id(std::string_view text) {
    uint32_t id = 0;
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
    const bool whole = failure == std::errc{} && stop == text.data() + text.size();
    return whole && text.size() == 8 ? std::optional(id) : std::nullopt;
}

void write_all(int fd, const std::string& text) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written != static_cast<ssize_t>(text.size())) {
        throw Error::from_errno(fmt::format("write a device record in {}", folder), {},
                                written < 0 ? errno : ENOSPC);
    }
}

std::string to_text(const nlohmann::ordered_json& facts) {
    return facts.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

// Appears under its name whole and locked, or not at all: it is written without a name.
UniqueFd publish(const std::string& path, const std::string& parent) {
    const nlohmann::ordered_json facts = {{"parent", parent},
                                          {"network_namespace", current_network_namespace()},
                                          {"pid_namespace", current_pid_namespace()},
                                          {"program", g_get_prgname()},
                                          {"pid", getpid()}};
    UniqueFd file(::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file || flock(file.get(), LOCK_EX | LOCK_NB) < 0) {
        throw Error::from_errno(fmt::format("record a device in {}", folder));
    }
    write_all(file.get(), to_text(facts));
    const std::string unnamed = fmt::format("/proc/self/fd/{}", file.get());
    if (linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) < 0) {
        throw Error::from_errno(fmt::format("record a device in {}", path));
    }
    return file;
}

// Its owner may have kept or erased it while we waited for nothing.
bool is_still_at(const std::string& path, int fd) {
    struct stat by_path {};
    struct stat by_fd {};
    return stat(path.c_str(), &by_path) == 0 && fstat(fd, &by_fd) == 0 &&
           by_path.st_ino == by_fd.st_ino && by_path.st_dev == by_fd.st_dev;
}

// The number of the record whose file has that name.
std::optional<uint32_t> id_in_file_name(const std::string& name) {
    const bool kept = name.ends_with(kept_suffix);
    const auto id =
        parse_id(std::string_view(name).substr(0, name.size() - (kept ? kept_suffix.size() : 0)));
    const bool as_written =
        id && name == fs::path(kept ? kept_path(*id) : owned_path(*id)).filename();
    return as_written ? id : std::nullopt;
}

// Nothing where it is none, or is gone meanwhile.
std::optional<RecordedDevice> read_record(const fs::path& path) {
    const auto id = id_in_file_name(path.filename());
    const UniqueFd file = id ? open_plain_file(path) : UniqueFd();
    if (!file) {
        return std::nullopt;
    }
    RecordedDevice record =
        parse_device_record(*id, read_start(file.get(), record_bytes_max).value_or(""));
    record.state = RecordState::kept;
    if (!path.filename().string().ends_with(kept_suffix)) {
        // Shared, so that those who look do not take each other for the owner.
        const bool abandoned = flock(file.get(), LOCK_SH | LOCK_NB) == 0;
        if (abandoned && !is_still_at(path, file.get())) {
            return std::nullopt;
        }
        record.state = abandoned ? RecordState::abandoned : RecordState::owned;
    }
    return record;
}

} // namespace

DeviceRecord DeviceRecord::create(const std::string& parent) {
    make_record_folder(folder);
    const uint32_t id = random_id();
    return {id, publish(owned_path(id), parent)};
}

void DeviceRecord::take_over() {
    auto facts =
        nlohmann::ordered_json::parse(read_start(lock_.get(), record_bytes_max).value_or(""));
    facts["pid"] = getpid();
    const std::string text = to_text(facts);
    if (ftruncate(lock_.get(), 0) < 0 || lseek(lock_.get(), 0, SEEK_SET) < 0) {
        throw Error::from_errno(fmt::format("change device record {}", owned_path(id_)));
    }
    write_all(lock_.get(), text);
}

void DeviceRecord::keep() {
    if (rename(owned_path(id_).c_str(), kept_path(id_).c_str()) < 0) {
        throw Error::from_errno(fmt::format("keep device record {}", owned_path(id_)));
    }
    lock_.reset();
}

void DeviceRecord::erase() noexcept {
    erase_device_record(id_);
    lock_.reset();
}

RecordedDevice parse_device_record(uint32_t id, const std::string& text) {
    RecordedDevice record{.id = id};
    try {
        const auto facts = nlohmann::json::parse(text);
        facts.at("parent").get_to(record.parent);
        facts.at("program").get_to(record.program);
        record.pid = whole_number<pid_t>(facts.at("pid"));
        record.network_namespace = whole_number<ino_t>(facts.at("network_namespace"));
        record.pid_namespace = whole_number<ino_t>(facts.at("pid_namespace"));
    } catch (const std::exception&) { // One that was damaged is no less a record.
        record.damaged = true;
    }
    // Records of tapline-helper belong to its users, and these texts go to an administrator.
    for (std::string* shown : {&record.parent, &record.program}) {
        std::ranges::replace_if(
            *shown, [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
    }
    return record;
}

DeviceRecords read_device_records(const std::string& root) {
    DeviceRecords records;
    if (!has_record_folder(root + folder)) {
        return records;
    }
    std::error_code unreadable; // Told by has_record_folder().
    for (const auto& entry : fs::directory_iterator(root + folder, unreadable)) {
        std::error_code none;
        if (auto record = read_record(entry.path())) {
            records.found.push_back(std::move(*record));
        } else if (fs::exists(entry.symlink_status(none))) { // Else it has gone meanwhile.
            records.strays.push_back(entry.path());
        }
    }
    return records;
}

std::optional<RecordedDevice> read_device_record(uint32_t id) {
    auto record = read_record(owned_path(id)); // First: it may be kept meanwhile.
    return record ? std::move(record) : read_record(kept_path(id));
}

void erase_device_record(uint32_t id) noexcept {
    unlink(owned_path(id).c_str());
    unlink(kept_path(id).c_str());
}

void restore_device_record(uint32_t id, const std::string& parent) {
    make_record_folder(folder);
    try {
        (void)publish(kept_path(id), parent);
    } catch (const Error& error) {
        if (error.code() != EEXIST) { // Else another process was faster.
            throw;
        }
    }
}

std::string device_alias(uint32_t id) {
    return fmt::format("{}{:08x}", alias_mark, id);
}

std::optional<uint32_t> id_in_alias(const std::string& alias) {
    return alias.starts_with(alias_mark)
               ? parse_id(std::string_view(alias).substr(alias_mark.size()))
               : std::nullopt;
}

} // namespace tapline
