// The host's own station beside its guests: a macvlan in mode bridge on their parent. Without it
// the host cannot reach them, as no frame passes between a parent and what stands on it.
#pragma once

#include "backend/base/error.h"
#include "backend/host_link_plan.h"
#include "backend/host_link_record.h"
#include "backend/netlink.h"

#include <string>
#include <vector>

namespace tapline {

// What there is of one.
struct HostLink {
    std::string name;
    std::string parent;
    MacAddress mac;
    bool complete; // False: whoever made it was stopped halfway; it is to be removed.
    std::vector<std::string> addresses;
    std::vector<std::string> routes;
    std::vector<std::string> moved_addresses;
};

struct HostLinks {
    std::vector<HostLink> links;
    std::vector<Error> unreadable; // A record each, of links that are not among these.
};
HostLinks list_host_links(Netlink& netlink);

// Undoes one, whether it was made to its end or not; moved addresses and routes go back. Goes on
// where the parent has none. Throws Error where the name is of nothing or of what is not ours,
// and where the record is damaged.
void remove_host_link(Netlink& netlink, const std::string& parent_or_name);

// What a process that was killed left of one, and one whose link or parent somebody deleted. The
// caller holds the lock of the records.
std::vector<HostLinkRecord> find_broken_host_links(Netlink& netlink);
void undo_host_link(Netlink& netlink, const HostLinkRecord& record);

// A host link that is undone with its owner, unless it is kept. What cannot be undone then stays on
// record for remove_host_link().
class OwnedHostLink {
public:
    // netlink must outlive the owner. Everything is checked before anything is changed.
    static OwnedHostLink create(Netlink& netlink, const HostLinkSpec& spec);

    OwnedHostLink(OwnedHostLink&& other) noexcept;
    OwnedHostLink& operator=(OwnedHostLink&&) = delete;
    ~OwnedHostLink();

    HostLink host_link() const;
    // What works less well than one may expect, a sentence each.
    const std::vector<std::string>& warnings() const { return warnings_; }
    void keep();

private:
    OwnedHostLink(Netlink& netlink, UniqueFd lock, HostLinkRecord record);
    void build(const HostLinkSpec& spec);
    void move_from_parent(int index);

    Netlink* netlink_; // Null: nothing to undo.
    UniqueFd lock_;
    HostLinkRecord record_;
    std::vector<std::string> warnings_;
};

} // namespace tapline
