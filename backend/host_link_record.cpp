#include "backend/host_link_record.h"

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

#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

namespace tapline {
namespace {

using GlibError = std::unique_ptr<GError, decltype(&g_error_free)>;
using GlibText = std::unique_ptr<gchar, decltype(&g_free)>;
using nlohmann::json;

namespace fs = std::filesystem;

constexpr auto folder = TAPLINE_RUNSTATE "/host-links";
constexpr std::string_view suffix = ".json";
// That of a parent with more than 100000 routes.
constexpr size_t record_bytes_max = 16U << 20U;

// /run is shared by network namespaces.
std::string file_name(uint64_t cookie, int parent_index) {
    return fmt::format("{}-{}{}", cookie, parent_index, suffix);
}

std::string path_of(const HostLinkRecord& record) {
    return fmt::format("{}/{}", folder,
                       file_name(record.network_namespace_cookie, record.parent_index));
}

std::string base64(std::string_view bytes) {
    const GlibText text(
        g_base64_encode(static_cast<const guchar*>(static_cast<const void*>(bytes.data())),
                        bytes.size()),
        g_free);
    return text.get();
}

std::string from_base64(const std::string& text) {
    gsize size = 0;
    const std::unique_ptr<guchar, decltype(&g_free)> bytes(g_base64_decode(text.c_str(), &size),
                                                           g_free);
    return {bytes.get(), bytes.get() + size};
}

template <typename Entry> json messages_of(const std::vector<Entry>& entries) {
    auto array = json::array();
    for (const Entry& entry : entries) {
        array.push_back(base64(entry.message()));
    }
    return array;
}

template <typename Entry> std::vector<Entry> entries_of(const json& array) {
    std::vector<Entry> entries;
    for (const json& message : array) {
        entries.emplace_back(from_base64(message.get<std::string>()));
    }
    return entries;
}

Error not_a_record(const std::string& path) {
    return Error({.operation = fmt::format("read {}", path),
                  .cause = "it is no record of a host link",
                  .next_step = "remove the file"});
}

HostLinkRecord read_record(const std::string& path) {
    const UniqueFd file = open_plain_file(path);
    if (!file) {
        throw not_a_record(path);
    }
    HostLinkRecord record =
        parse_host_link_record(path, read_start(file.get(), record_bytes_max).value_or(""));
    if (path_of(record) != path) {
        throw not_a_record(path);
    }
    return record;
}

UniqueFd open_folder() {
    return UniqueFd(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

} // namespace

// Names of interfaces are bytes and need not be UTF-8: they go the way of the messages.
HostLinkRecord parse_host_link_record(const std::string& path, const std::string& text) {
    try {
        const json all = json::parse(text);
        return {.network_namespace = whole_number<ino_t>(all.at("network_namespace")),
                .network_namespace_cookie =
                    whole_number<uint64_t>(all.at("network_namespace_cookie")),
                .parent = from_base64(all.at("parent")),
                .parent_index = whole_number<int>(all.at("parent_index")),
                .name = from_base64(all.at("device")),
                .mac = MacAddress::parse(all.at("mac").get<std::string>()),
                .complete = all.at("complete"),
                .addresses = entries_of<IpAddress>(all.at("addresses")),
                .routes = entries_of<IpRoute>(all.at("routes"))};
    } catch (const std::exception&) { // Of JSON, of an address, of a route.
        throw not_a_record(path);
    }
}

const Error* HostLinkRecords::damage(int parent_index) const {
    const auto found = damaged.find(file_name(current_network_namespace_cookie(), parent_index));
    return found == damaged.end() ? nullptr : &found->second;
}

HostLinkRecords read_all_host_link_records() {
    HostLinkRecords records;
    if (!has_record_folder(folder)) {
        return records;
    }
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(folder, failure)) {
        if (entry.path().extension() != suffix) {
            continue;
        }
        try {
            records.intact.push_back(read_record(entry.path()));
        } catch (const Error& error) {
            std::error_code gone; // Erased meanwhile, by whoever has the lock.
            if (fs::exists(fs::symlink_status(entry.path(), gone))) {
                records.damaged.emplace(entry.path().filename(), error);
            }
        }
    }
    return records;
}

HostLinkRecords read_host_link_records() {
    const uint64_t cookie = current_network_namespace_cookie();
    HostLinkRecords records = read_all_host_link_records();
    std::erase_if(records.intact, [&](const HostLinkRecord& record) {
        return record.network_namespace_cookie != cookie;
    });
    std::erase_if(records.damaged, [&](const auto& entry) {
        return !entry.first.starts_with(fmt::format("{}-", cookie));
    });
    return records;
}

std::vector<std::string> find_left_host_link_files() {
    std::vector<std::string> paths;
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(folder, missing)) {
        // As GLib names what it will rename to the record.
        if (entry.path().filename().string().find(fmt::format("{}.", suffix)) !=
            std::string::npos) {
            paths.push_back(entry.path());
        }
    }
    return paths;
}

UniqueFd lock_host_link_records() {
    make_record_folder(folder);
    UniqueFd lock = open_folder();
    if (!lock) {
        throw Error::from_errno(fmt::format("open {}", folder), "run as root");
    }
    if (flock(lock.get(), LOCK_EX) < 0) {
        throw Error::from_errno(fmt::format("lock {}", folder));
    }
    for (const std::string& path : find_left_host_link_files()) {
        std::error_code failure; // They are in nobody's way.
        fs::remove(path, failure);
    }
    return lock;
}

std::string text_of(const HostLinkRecord& record) {
    return json{{"network_namespace", record.network_namespace},
                {"network_namespace_cookie", record.network_namespace_cookie},
                {"parent", base64(record.parent)},
                {"parent_index", record.parent_index},
                {"device", base64(record.name)},
                {"mac", record.mac.text()},
                {"complete", record.complete},
                {"addresses", messages_of(record.addresses)},
                {"routes", messages_of(record.routes)}}
        .dump();
}

UniqueFd try_lock_host_link_records() {
    UniqueFd lock = has_record_folder(folder) ? open_folder() : UniqueFd();
    return lock && flock(lock.get(), LOCK_EX | LOCK_NB) == 0 ? std::move(lock) : UniqueFd();
}

void write_record(const HostLinkRecord& record) {
    const std::string text = text_of(record);
    if (text.size() > record_bytes_max) { // It could not be read again.
        throw Error({.operation = fmt::format("record a host link on '{}'", record.parent),
                     .cause = "it has too many routes to move",
                     .next_step = "give --address instead of --move-address"});
    }
    GError* failure = nullptr;
    if (g_file_set_contents_full(path_of(record).c_str(), text.c_str(),
                                 static_cast<gssize>(text.size()), G_FILE_SET_CONTENTS_CONSISTENT,
                                 0644, &failure) == FALSE) {
        const GlibError owned(failure, g_error_free);
        throw Error({.operation = "record a host link", .cause = failure->message});
    }
}

void erase_record(const HostLinkRecord& record) {
    fs::remove(path_of(record));
}

} // namespace tapline
