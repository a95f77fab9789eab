#include "backend/host_link_record.h"

#include "backend/base/error.h"
#include "backend/whole_number.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glib.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/socket.h>

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

const std::filesystem::path folder = TAPLINE_RUNSTATE "/host-links";

// /run is shared by network namespaces. This number is never given to a second one.
uint64_t namespace_cookie() {
    const UniqueFd any(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (getsockopt(any.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0) {
        throw Error::from_errno("identify the network namespace", "needs Linux 5.14 or newer");
    }
    return cookie;
}

std::string file_name_of(const HostLinkRecord& record) {
    return fmt::format("{}-{}.json", namespace_cookie(), record.parent_index);
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

std::string read_file(const std::filesystem::path& path) {
    gchar* text = nullptr;
    gsize size = 0;
    GError* failure = nullptr;
    if (g_file_get_contents(path.c_str(), &text, &size, &failure) == FALSE) {
        const GlibError owned(failure, g_error_free);
        throw Error({.operation = "read the record of a host link", .cause = failure->message});
    }
    const GlibText owned(text, g_free);
    return {text, size};
}

} // namespace

// Names of interfaces are bytes and need not be UTF-8: they go the way of the messages.
HostLinkRecord parse_host_link_record(const std::string& path, const std::string& text) {
    try {
        const json all = json::parse(text);
        return {.parent = from_base64(all.at("parent")),
                .parent_index = whole_number<int>(all.at("parent_index")),
                .name = from_base64(all.at("device")),
                .mac = MacAddress::parse(all.at("mac").get<std::string>()),
                .complete = all.at("complete"),
                .addresses = entries_of<IpAddress>(all.at("addresses")),
                .routes = entries_of<IpRoute>(all.at("routes"))};
    } catch (const std::exception&) { // Of JSON, of an address, of a route.
        throw Error({.operation = fmt::format("read {}", path),
                     .cause = "it is no record of a host link",
                     .next_step = "remove the file"});
    }
}

std::vector<HostLinkRecord> read_host_link_records() {
    const std::string ours = fmt::format("{}-", namespace_cookie());
    std::vector<HostLinkRecord> records;
    std::error_code no_folder;
    for (const auto& entry : std::filesystem::directory_iterator(folder, no_folder)) {
        const std::string file = entry.path().filename();
        if (file.starts_with(ours) && file.ends_with(".json")) {
            records.push_back(parse_host_link_record(entry.path(), read_file(entry.path())));
        }
    }
    return records;
}

UniqueFd lock_host_link_records() {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    UniqueFd lock(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock) {
        throw Error::from_errno(fmt::format("open {}", folder.string()), "run as root");
    }
    if (flock(lock.get(), LOCK_EX) < 0) {
        throw Error::from_errno(fmt::format("lock {}", folder.string()));
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".json") { // Of a writer that was killed: no other is here.
            std::filesystem::remove(entry.path());
        }
    }
    return lock;
}

std::string text_of(const HostLinkRecord& record) {
    return json{{"parent", base64(record.parent)},     {"parent_index", record.parent_index},
                {"device", base64(record.name)},       {"mac", record.mac.text()},
                {"complete", record.complete},         {"addresses", messages_of(record.addresses)},
                {"routes", messages_of(record.routes)}}
        .dump();
}

UniqueFd try_lock_host_link_records() {
    UniqueFd lock(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return lock && flock(lock.get(), LOCK_EX | LOCK_NB) == 0 ? std::move(lock) : UniqueFd();
}

void write_record(const HostLinkRecord& record) {
    const std::string text = text_of(record);
    GError* failure = nullptr;
    if (g_file_set_contents_full((folder / file_name_of(record)).c_str(), text.c_str(),
                                 static_cast<gssize>(text.size()), G_FILE_SET_CONTENTS_CONSISTENT,
                                 0644, &failure) == FALSE) {
        const GlibError owned(failure, g_error_free);
        throw Error({.operation = "record a host link", .cause = failure->message});
    }
}

void erase_record(const HostLinkRecord& record) {
    std::filesystem::remove(folder / file_name_of(record));
}

} // namespace tapline
