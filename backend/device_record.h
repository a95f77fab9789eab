// One device's entry in /run/tapline/devices, written before the device is made, so that a crash
// at any instruction leaves something `tapline reconcile` can repair.
//
// A record is locked (flock) by the process that owns the device; the kernel ends the lock with the
// process. keep() turns it into one that needs no owner. The record's number travels with the
// device, first as its group, then in its alias: names and indices can be taken by others.
#pragma once

#include "backend/base/unique_fd.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tapline {

class DeviceRecord {
public:
    // Of a device that will be made in the current network namespace. Throws Error.
    static DeviceRecord create(const std::string& parent);

    uint32_t id() const { return id_; }
    // After a fork: the lock goes on in this process, and so shall the name of the owner.
    void take_over();
    // From now on the device shall live without an owner.
    void keep();
    // The device is gone, or was never made. Goes on where the record is gone already.
    void erase() noexcept;

private:
    DeviceRecord(uint32_t id, UniqueFd lock) : id_(id), lock_(std::move(lock)) {}

    uint32_t id_;
    UniqueFd lock_;
};

enum class RecordState {
    owned,     // A living process holds it.
    kept,      // Nobody needs to.
    abandoned, // Its owner died.
};

// A record as others see it.
struct RecordedDevice {
    uint32_t id = 0;
    RecordState state{};
    std::string parent;
    std::string program;         // Of the owner.
    pid_t pid = 0;               // Of the owner.
    ino_t network_namespace = 0; // As in /proc/PID/ns/net.
    ino_t pid_namespace = 0;     // As in /proc/PID/ns/pid: where the owner's number means it.
    bool damaged = false;        // Its text does not say all of this.
};

// What the text of a record says of its owner; what it says wrongly is left out.
RecordedDevice parse_device_record(uint32_t id, const std::string& text);

struct DeviceRecords {
    std::vector<RecordedDevice> found;
    std::vector<std::string> strays; // Paths of what lies among them and is none.
};
// All there are, of the host whose files lie below root. Throws Error where others than root can
// write records.
DeviceRecords read_device_records(const std::string& root = "");
std::optional<RecordedDevice> read_device_record(uint32_t id);

void erase_device_record(uint32_t id) noexcept;
// Writes the record of a device that lost it.
void restore_device_record(uint32_t id, const std::string& parent);

// The text that marks a device as the one of a record, and back.
std::string device_alias(uint32_t id);
std::optional<uint32_t> id_in_alias(const std::string& alias);

} // namespace tapline
