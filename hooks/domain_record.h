// What was made for one domain: its file in /run/tapline/domains, named after its UUID. What is to
// be made is written down first.
#pragma once

#include "hooks/domain_lock.h"
#include "hooks/interface_life.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline::hooks {

class DomainRecord {
public:
    // Or what stands in its place. Throws Error where others than root can write records.
    static bool exists(const std::string& uuid);
    // Of all domains that have one. Throws Error.
    static std::vector<std::string> uuids();
    // Another one after each put() and drop(), to be compared; absent where there is none.
    static std::optional<std::string> version(const std::string& uuid);
    // Empty where there is none. Waits until no other process has it. Throws Error, also for a
    // UUID that is none.
    static DomainRecord open(const std::string& uuid);

    const std::vector<MadeInterface>& interfaces() const { return interfaces_; }
    // In place of what was made before for a device of that name. Throws Error, also where the
    // device or its socket is another domain's, or the socket that of another device.
    void put(const MadeInterface& interface);
    void drop(const std::string& device);

private:
    DomainRecord(std::string uuid, DomainLock lock)
        : uuid_(std::move(uuid)), lock_(std::move(lock)) {}
    bool has_claim(const MadeInterface& interface) const;
    void check_claim(const MadeInterface& interface) const;
    void write() const;

    std::string uuid_;
    DomainLock lock_;
    std::vector<MadeInterface> interfaces_;
};

} // namespace tapline::hooks
