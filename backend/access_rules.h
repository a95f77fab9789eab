// Who may have a device on which parent and in which mode. What no rule allows is denied, and a
// rule that denies wins over every one that allows.
#pragma once

#include "backend/interface_spec.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tapline {

struct AccessRequest {
    uid_t user;
    std::vector<gid_t> groups;
    std::string parent;
    MacvlanMode mode;
};

struct AccessRule {
    enum class Verdict { allow, deny };

    Verdict verdict;
    std::optional<uid_t> user; // Neither user nor group: everyone.
    std::optional<gid_t> group;
    std::optional<std::string> parent; // Absent: every one.
    uint32_t modes;                    // Bits of MacvlanMode.
    std::string place;                 // FILE:LINE
};

class AccessRules {
public:
    explicit AccessRules(std::vector<AccessRule> rules) : rules_(std::move(rules)) {}

    bool allows(const AccessRequest& request) const;
    // The rule the answer comes from; nullptr where none speaks of such a request.
    const AccessRule* deciding_rule(const AccessRequest& request) const;

private:
    std::vector<AccessRule> rules_;
};

} // namespace tapline
