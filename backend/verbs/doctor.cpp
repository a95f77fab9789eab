#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/doctor/domain_checks.h"
#include "backend/doctor/host_checks.h"
#include "backend/doctor/io_uring_checks.h"
#include "backend/doctor/parent_checks.h"
#include "backend/doctor/tool_checks.h"
#include "backend/json.h"
#include "backend/verbs/verb_program.h"
#include "backend/verbs/verbs.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace tapline {
namespace {

using doctor::Check;
using doctor::Checks;
using doctor::State;

std::string as_json(const Checks& checks) {
    auto array = nlohmann::ordered_json::array();
    for (const Check& check : checks) {
        array.push_back({{"check", check.name},
                         {"state", to_text(check.state)},
                         {"detail", check.detail},
                         {"why", check.why},
                         {"mend", check.mend}});
    }
    return to_line({{"overall", to_text(worst_of(checks))}, {"checks", array}}) + '\n';
}

const char* summary_of(State state) {
    switch (state) {
    case State::ok:
        return "everything works";
    case State::limited:
        return "works, with limits";
    case State::broken:
        return "cannot work";
    }
    return "";
}

std::string as_text(const Checks& checks) {
    size_t width = 0;
    for (const Check& check : checks) {
        width = std::max(width, check.name.size());
    }
    std::string text;
    const auto add_row = [&](State state, const std::string& name, const std::string& detail) {
        text += fmt::format("{:<8} {:<{}}  {}\n", to_text(state), name, width, detail);
    };
    for (const Check& check : checks) {
        add_row(check.state, check.name, check.detail);
        if (check.state != State::ok) {
            text += fmt::format("{0:9}why:  {1}\n{0:9}mend: {2}\n", "", check.why, check.mend);
        }
    }
    add_row(worst_of(checks), "overall", summary_of(worst_of(checks)));
    return text;
}

Checks check_domain(const doctor::Host& host, const std::string& file,
                    std::vector<std::string>& parents) {
    const std::string program = verb_program("xml");
    try {
        const nlohmann::json domain = doctor::read_domain(program, file);
        for (const std::string& parent : doctor::parents_of(domain)) {
            parents.push_back(parent);
        }
        return doctor::domain_checks(host, domain);
    } catch (const nlohmann::json::exception&) {
        throw Error({.operation = fmt::format("read the answer of {}", program),
                     .cause = "it is not of this version of Tapline",
                     .next_step = "install both of one version"});
    }
}

} // namespace

int doctor_verb(const Arguments& arguments) {
    std::vector<std::string> parents;
    std::optional<std::string> domain_xml;
    bool json = false;
    CommandLine command_line("", "Tell what works on this host, and what to do where not.");
    command_line.list("parent", "IF", "Check this interface as a parent; repeatable", parents);
    command_line.value("domain-xml", "FILE",
                       "Check the host for the libvirt domain in FILE, - for standard input",
                       domain_xml);
    command_line.flag("json", "Print the findings as a JSON object", json);
    command_line.parse_options(arguments);

    const doctor::Host host;
    const Checks of_domain = domain_xml ? check_domain(host, *domain_xml, parents) : Checks{};
    Checks checks = doctor::host_checks(host);
    append(checks, io_uring_checks(host, doctor::probe_io_uring()));
    append(checks, tool_checks(host, doctor::find_tools()));
    Netlink netlink = Netlink::open();
    for (auto parent = parents.begin(); parent != parents.end(); ++parent) {
        if (std::find(parents.begin(), parent, *parent) == parent) { // Each once.
            append(checks, parent_checks(*parent, look_at_parent(netlink, host, *parent)));
        }
    }
    append(checks, of_domain);
    print_text(json ? as_json(checks) : as_text(checks));
    return static_cast<int>(worst_of(checks)); // 0, 1 and 2, which man pages promise.
}

} // namespace tapline
