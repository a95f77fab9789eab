// What a host link was made of, in a file that outlives whoever made it: enough to undo it after a
// crash at any moment. Files lie in /run, so a reboot takes them along with the links.
#pragma once

#include "backend/base/error.h"
#include "backend/base/unique_fd.h"
#include "backend/ip_config.h"
#include "backend/mac_address.h"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tapline {

struct HostLinkRecord {
    ino_t network_namespace = 0; // As in /proc/PID/ns/net: where to look for it.
    uint64_t network_namespace_cookie = 0;
    std::string parent;
    int parent_index = 0;
    std::string name;
    MacAddress mac;
    bool complete = false;            // Every step was taken.
    std::vector<IpAddress> addresses; // That were the parent's, in the order of their making,
    std::vector<IpRoute> routes;      // and those through it, the ones without a gateway first.
};

// A record as the text of its file, and back. Throws Error, which names the path.
std::string text_of(const HostLinkRecord& record);
HostLinkRecord parse_host_link_record(const std::string& path, const std::string& text);

struct HostLinkRecords {
    // Why the one of a parent in this network namespace cannot be read; null where it can, and
    // where there is none.
    const Error* damage(int parent_index) const;

    std::vector<HostLinkRecord> intact;
    std::map<std::string, Error> damaged; // By the name of the file; each names the path.
};

// Of this network namespace, and of all. Without the lock they may be out of date at once. Throw
// Error where others than root can write records.
HostLinkRecords read_host_link_records();
HostLinkRecords read_all_host_link_records();

// Of writers that were killed, if the caller has the lock.
std::vector<std::string> find_left_host_link_files();

// While it is held no other process changes host links or their records.
UniqueFd lock_host_link_records();
// Empty while another process holds it, and where there never was a record. Changes nothing.
UniqueFd try_lock_host_link_records();
void write_record(const HostLinkRecord& record); // Whole or not at all.
void erase_record(const HostLinkRecord& record);

} // namespace tapline
