#include "backend/reconcile.h"

#include "backend/base/command_line.h"
#include "backend/base/log.h"
#include "backend/base/output.h"
#include "backend/json.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

namespace tapline {
namespace {

std::string as_json(const std::vector<Reconciled>& entries) {
    auto array = nlohmann::ordered_json::array();
    for (const Reconciled& entry : entries) {
        array.push_back({{"subject", entry.subject},
                         {"finding", to_text(entry.finding)},
                         {"reason", entry.reason}});
        if (!entry.failure.empty()) {
            array.back()["failure"] = entry.failure;
        }
    }
    return to_line(array) + '\n';
}

std::string what_is_done(Finding finding, Mending mending) {
    const char* done = mending == Mending::mend ? "" : "would be ";
    switch (finding) {
    case Finding::in_order:
    case Finding::in_use:
        return "left alone";
    case Finding::leftover:
        return fmt::format("{}removed", done);
    case Finding::forgotten:
        return fmt::format("{}forgotten", done);
    case Finding::orphan:
        return fmt::format("{}recorded", done);
    }
    return {};
}

// What is in order needs no line.
std::string as_text(const std::vector<Reconciled>& entries, Mending mending) {
    std::string text;
    for (const Reconciled& entry : entries) {
        if (entry.finding != Finding::in_order && entry.failure.empty()) {
            text += fmt::format("{}: {}: {}\n", entry.subject, what_is_done(entry.finding, mending),
                                entry.reason);
        }
    }
    return text;
}

} // namespace

int reconcile_verb(const Arguments& arguments) {
    bool dry_run = false;
    bool json = false;
    CommandLine command_line(
        "", "Remove what processes that were killed left behind: devices, records and nodes.");
    command_line.flag("dry-run", "Only tell what would be done", dry_run);
    command_line.flag("json", "Print everything that was looked at as a JSON array", json);
    command_line.parse_options(arguments);
    const Mending mending = dry_run ? Mending::only_tell : Mending::mend;
    const std::vector<Reconciled> entries = reconcile(mending);
    print_text(json ? as_json(entries) : as_text(entries, mending));
    int status = 0;
    for (const Reconciled& entry : entries) {
        if (!entry.failure.empty()) {
            log(LogLevel::error, "{}: {}", entry.subject, entry.failure);
            status = 1;
        }
    }
    return status;
}

} // namespace tapline
