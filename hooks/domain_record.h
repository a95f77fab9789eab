// What was made for one domain: its file in /run/tapline/domains, named after its UUID. What is to
// be made is written down first.
#pragma once

#include "backend/base/unique_fd.h"
#include "hooks/interface_life.h"

#include <optional>
#include <string>
#include <vector>

namespace tapline::hooks {

class DomainRecord {
public:
    static bool exists(const std::string& uuid);
    // Of all domains that have one. Throws Error.
    static std::vector<std::string> uuids();
    // Another one after each put() and drop(), to be compared; absent where there is none.
    static std::optional<std::string> version(const std::string& uuid);
    // Empty where there is none. Waits until no other process has one. Throws Error, also for a
    // UUID that is none.
    static DomainRecord open(const std::string& uuid);

    const std::vector<MadeInterface>& interfaces() const { return interfaces_; }
    // In place of what was made before for a device of that name. Throws Error.
    void put(const MadeInterface& interface);
    void drop(const std::string& device);

private:
    DomainRecord(std::string path, UniqueFd lock)
        : path_(std::move(path)), lock_(std::move(lock)) {}
    void read();
    void write() const;

    std::string path_;
    UniqueFd lock_;
    std::vector<MadeInterface> interfaces_;
};

} // namespace tapline::hooks
