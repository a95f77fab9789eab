#include "backend/reconcile.h"

#include "backend/base/error.h"
#include "backend/device_record.h"
#include "backend/host_link.h"
#include "backend/macvtap_device.h"
#include "backend/network_namespace.h"
#include "backend/node_users.h"
#include "backend/tap_node.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

namespace tapline {
namespace {

std::string owner_of(const RecordedDevice& record) {
    return record.program.empty() ? "its owner" // Of a damaged record.
                                  : fmt::format("{} (process {})", record.program, record.pid);
}

std::string name_without_device(const RecordedDevice& record) {
    return record.parent.empty() ? fmt::format("a device (record {:08x})", record.id)
                                 : fmt::format("a device on '{}'", record.parent);
}

// Of a device whose owner died. Throws Error where not all who may use it can be seen.
std::optional<NodeUser> find_user(const MacvtapDevice& device, const RecordedDevice& record) {
    if (record.pid_namespace != 0 && record.pid_namespace != current_pid_namespace()) {
        throw Error({.operation = fmt::format("look for users of '{}'", device.name),
                     .cause = "its owner lived in another PID namespace",
                     .next_step = "run this there, or in the host's"});
    }
    return find_node_user(device);
}

std::string subject_of(const HostLinkRecord& record) {
    return fmt::format("host link '{}' on '{}'", record.name, record.parent);
}

// Everything that is mended here, and what was found on the way.
class Reconciliation {
public:
    explicit Reconciliation(Mending mending);

    // Of the host links that have a record.
    std::set<ino_t> namespaces_of_host_links() const;
    void check_namespace(const std::vector<const RecordedDevice*>& records);
    void check_without_namespace(const RecordedDevice& record);
    void forget_host_links(ino_t number);
    void check_left_nodes();
    void check_host_link_files();
    void report_strays(const std::vector<std::string>& paths);

    std::vector<Reconciled> take() { return std::move(found_); }

private:
    void check(Netlink& netlink, const MacvtapDevice* device, const RecordedDevice& record);
    void check_abandoned(Netlink& netlink, const MacvtapDevice& device,
                         const RecordedDevice& record);
    void check_host_links(Netlink& netlink);
    void report(Reconciled entry, const std::function<void()>& mend = {});

    Mending mending_;
    std::vector<Reconciled> found_;
    UniqueFd host_link_lock_;
    HostLinkRecords host_links_; // None without the lock: who holds it is at work, and alive.
};

Reconciliation::Reconciliation(Mending mending) : mending_(mending) {
    try {
        host_link_lock_ = try_lock_host_link_records();
        host_links_ = host_link_lock_ ? read_all_host_link_records() : HostLinkRecords();
    } catch (const Error& error) { // It does not keep the devices.
        host_link_lock_.reset();
        report({Finding::leftover, "host links", "their records are not trusted", error.what()});
    }
}

std::set<ino_t> Reconciliation::namespaces_of_host_links() const {
    std::set<ino_t> numbers;
    for (const HostLinkRecord& record : host_links_.intact) {
        numbers.insert(record.network_namespace);
    }
    return numbers;
}

// One failure does not keep the others.
void Reconciliation::report(Reconciled entry, const std::function<void()>& mend) {
    if (mend && mending_ == Mending::mend) {
        try {
            mend();
        } catch (const std::exception& error) {
            entry.failure = error.what();
        }
    }
    found_.push_back(std::move(entry));
}

void Reconciliation::check_namespace(const std::vector<const RecordedDevice*>& records) {
    Netlink netlink = Netlink::open();
    const std::vector<MacvtapDevice> devices = list_macvtaps(netlink);
    std::set<uint32_t> recorded;
    for (const RecordedDevice* record : records) {
        recorded.insert(record->id);
        const auto found = std::ranges::find_if(devices, [&](const MacvtapDevice& device) {
            return device.is_recorded_as(record->id);
        });
        check(netlink, found == devices.end() ? nullptr : &*found, *record);
    }
    for (const MacvtapDevice& device : devices) {
        // Since we looked its record may have been written, or it was deleted and then its record.
        if (device.ours() && !recorded.contains(*device.record_id) &&
            !read_device_record(*device.record_id) && netlink.link(device.index)) {
            report({Finding::orphan, device.name, "it had no record"},
                   [&] { restore_device_record(*device.record_id, device.parent); });
        }
    }
    check_host_links(netlink);
}

void Reconciliation::check_host_links(Netlink& netlink) {
    if (host_links_.intact.empty()) {
        return;
    }
    for (const HostLinkRecord& record : find_broken_host_links(netlink)) {
        report({Finding::leftover, subject_of(record),
                record.complete ? "its link was deleted" : "it was made or removed halfway"},
               [&] { undo_host_link(netlink, record); });
    }
    forget_host_links(current_network_namespace());
}

// Of a network namespace that is gone. If another has its number now, that is the current one.
void Reconciliation::forget_host_links(ino_t number) {
    const uint64_t here = current_network_namespace_cookie();
    for (const HostLinkRecord& record : host_links_.intact) {
        if (record.network_namespace == number && record.network_namespace_cookie != here) {
            report({Finding::forgotten, subject_of(record), "its network namespace is gone"},
                   [&] { erase_record(record); });
        }
    }
}

void Reconciliation::check_host_link_files() {
    if (!host_link_lock_) {
        return;
    }
    for (const auto& [file, damage] : host_links_.damaged) {
        report({Finding::leftover, "a host link", "its record is damaged", damage.what()});
    }
    for (const std::string& path : find_left_host_link_files()) {
        report({Finding::leftover, path, "the process that wrote it is gone"},
               [&] { std::filesystem::remove(path); });
    }
}

void Reconciliation::report_strays(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) { // Somebody put it there, and may want it.
        report({Finding::leftover, path, "it is no record of a device",
                "it is no record of a device (remove it)"});
    }
}

// device: null where it is gone.
void Reconciliation::check(Netlink& netlink, const MacvtapDevice* device,
                           const RecordedDevice& record) {
    const std::string subject = device != nullptr ? device->name : name_without_device(record);
    const auto erase = [&] { erase_device_record(record.id); };
    switch (record.state) {
    case RecordState::owned:
        report({Finding::in_order, subject, owner_of(record) + " owns it"});
        return;
    case RecordState::kept:
        if (device != nullptr && record.damaged) {
            report({Finding::orphan, subject, "its record was damaged"}, [&] {
                erase();
                restore_device_record(record.id, device->parent);
            });
        } else if (device != nullptr) {
            report({Finding::in_order, subject, "it was made to stay"});
        } else {
            report({Finding::forgotten, subject, "it is gone"}, erase);
        }
        return;
    case RecordState::abandoned:
        if (device != nullptr) {
            check_abandoned(netlink, *device, record);
        } else {
            report({Finding::forgotten, subject, owner_of(record) + " is gone, and it as well"},
                   erase);
        }
        return;
    }
}

void Reconciliation::check_abandoned(Netlink& netlink, const MacvtapDevice& device,
                                     const RecordedDevice& record) {
    std::optional<NodeUser> user;
    try {
        user = find_user(device, record);
    } catch (const Error& error) {
        if (netlink.link(device.index)) { // Else it has gone meanwhile, and its record shall.
            report({Finding::in_use, device.name, owner_of(record) + " is gone, users are unknown",
                    error.what()});
            return;
        }
    }
    if (user) {
        report({Finding::in_use, device.name,
                fmt::format("{} is gone, but {} (process {}) uses it", owner_of(record),
                            user->program, user->pid)});
        return;
    }
    report({Finding::leftover, device.name, owner_of(record) + " is gone"}, [&] {
        delete_macvtap(netlink, device);
        erase_device_record(record.id);
    });
}

void Reconciliation::check_without_namespace(const RecordedDevice& record) {
    if (record.state == RecordState::owned) { // Of a container that /proc does not show, then.
        report({Finding::in_order, name_without_device(record), owner_of(record) + " owns it"});
        return;
    }
    report({Finding::forgotten, name_without_device(record), "its network namespace is gone"},
           [&] { erase_device_record(record.id); });
}

void Reconciliation::check_left_nodes() {
    for (const std::string& path : find_left_nodes()) {
        report({Finding::leftover, path, "the process that made it is gone"},
               [&] { std::filesystem::remove(path); });
    }
}

bool is_in_the_way(const MacvtapDevice& device, const InterfaceSpec& spec, const Link& parent) {
    // The spec may have another name of it.
    const bool shares_parent = device.parent == parent.name;
    const bool needs_it_alone =
        device.mode == MacvlanMode::passthru || spec.mode() == MacvlanMode::passthru;
    return device.name == spec.name() ||
           (shares_parent && (needs_it_alone || device.mac == spec.mac()));
}

// Whether there was anything.
bool remove_what_is_in_the_way(Netlink& netlink, const InterfaceSpec& spec) {
    bool removed = false;
    const auto parent = netlink.link(spec.parent());
    for (const MacvtapDevice& device : list_macvtaps(netlink)) {
        const uint32_t id = device.record_id.value_or(device.group);
        const bool concerns = parent && is_in_the_way(device, spec, *parent);
        const auto record = concerns ? read_device_record(id) : std::nullopt;
        if (record && record->state == RecordState::abandoned && !find_user(device, *record)) {
            delete_macvtap(netlink, device);
            erase_device_record(id);
            removed = true;
        }
    }
    return removed;
}

} // namespace

const char* to_text(Finding finding) {
    switch (finding) {
    case Finding::in_order:
        return "in order";
    case Finding::in_use:
        return "in use";
    case Finding::leftover:
        return "leftover";
    case Finding::forgotten:
        return "forgotten";
    case Finding::orphan:
        return "orphan";
    }
    return "unknown";
}

std::vector<Reconciled> reconcile(Mending mending) {
    if (geteuid() != 0) { // Records and other users' processes cannot be read.
        throw Error({.operation = "reconcile devices and records",
                     .cause = "only root can tell what is in use",
                     .next_step = "run as root"});
    }
    const DeviceRecords records = read_device_records();
    const ino_t here = current_network_namespace();
    std::map<ino_t, std::vector<const RecordedDevice*>> by_namespace = {{here, {}}};
    for (const RecordedDevice& record : records.found) {
        // A damaged one does not say where it belongs.
        const ino_t place = record.network_namespace == 0 ? here : record.network_namespace;
        by_namespace[place].push_back(&record);
    }
    Reconciliation reconciliation(mending);
    for (const ino_t place : reconciliation.namespaces_of_host_links()) {
        by_namespace[place]; // With or without devices.
    }
    for (const auto& [number, of_namespace] : by_namespace) {
        if (number == here) {
            reconciliation.check_namespace(of_namespace);
        } else if (const UniqueFd other = find_network_namespace(number)) {
            const NetworkNamespaceVisit visit(other);
            reconciliation.check_namespace(of_namespace);
        } else {
            for (const RecordedDevice* record : of_namespace) {
                reconciliation.check_without_namespace(*record);
            }
            reconciliation.forget_host_links(number);
        }
    }
    reconciliation.check_left_nodes();
    reconciliation.check_host_link_files();
    reconciliation.report_strays(records.strays);
    return reconciliation.take();
}

OwnedMacvtap create_over_leftovers(Netlink& netlink, const InterfaceSpec& spec) {
    try {
        return OwnedMacvtap::create(netlink, spec);
    } catch (const Error& error) {
        const bool may_be_in_the_way = error.code() == EEXIST || error.code() == EADDRINUSE ||
                                       error.code() == EBUSY || error.code() == EINVAL;
        bool removed = false;
        try {
            removed = may_be_in_the_way && remove_what_is_in_the_way(netlink, spec);
        } catch (const Error&) { // The first refusal tells more.
        }
        if (!removed) {
            throw;
        }
    }
    return OwnedMacvtap::create(netlink, spec);
}

} // namespace tapline
