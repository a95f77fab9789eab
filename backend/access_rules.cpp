#include "backend/access_rules.h"

#include <algorithm>

namespace tapline {
namespace {

bool covers(const AccessRule& rule, const AccessRequest& request) {
    return (!rule.user || *rule.user == request.user) &&
           (!rule.group || std::ranges::count(request.groups, *rule.group) > 0) &&
           (!rule.parent || *rule.parent == request.parent) &&
           (rule.modes & static_cast<uint32_t>(request.mode)) != 0;
}

} // namespace

const AccessRule* AccessRules::deciding_rule(const AccessRequest& request) const {
    const AccessRule* allowing = nullptr;
    for (const AccessRule& rule : rules_) {
        if (!covers(rule, request)) {
            continue;
        }
        if (rule.verdict == AccessRule::Verdict::deny) {
            return &rule;
        }
        allowing = allowing == nullptr ? &rule : allowing;
    }
    return allowing;
}

bool AccessRules::allows(const AccessRequest& request) const {
    const AccessRule* rule = deciding_rule(request);
    return rule != nullptr && rule->verdict == AccessRule::Verdict::allow;
}

} // namespace tapline
