#include "backend/doctor/domain_checks.h"

#include "backend/base/error.h"
#include "backend/interface_spec.h"
#include "backend/tool.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace tapline::doctor {
namespace {

using Json = nlohmann::json;

// In the JSON, what the domain does not say is null.
std::string text_or_empty(const Json& value) {
    return value.is_null() ? "" : value.get<std::string>();
}

std::string name_of(const Json& domain) {
    return domain.at("name").get<std::string>();
}

Check memory_check(const Json& domain, bool needed) {
    const std::string name = fmt::format("domain-memory {}", name_of(domain));
    const bool shared = domain.at("shared_memory").get<bool>();
    if (shared || !needed) {
        return {.name = name,
                .state = State::ok,
                .detail = shared ? "shared" : "not shared; no card needs it"};
    }
    return {.name = name,
            .state = State::broken,
            .detail = "not shared",
            .why = "a vhostuser interface needs memory that another process can map",
            .mend = fmt::format("virsh edit {}  # Add <memoryBacking><source type='memfd'/>"
                                "<access mode='shared'/></memoryBacking>.",
                                shell_word(name_of(domain)))};
}

Check hugepages_check(const Host& host, const Json& domain) {
    const std::string name = fmt::format("domain-hugepages {}", name_of(domain));
    if (!domain.at("hugepages").get<bool>()) {
        return {.name = name, .state = State::ok, .detail = "not asked for"};
    }
    if (const auto pages = host.hugepages(); pages != 0) {
        return {.name = name, .state = State::ok, .detail = fmt::format("{} reserved", pages)};
    }
    return {.name = name,
            .state = State::broken,
            .detail = "asked for, but none is reserved",
            .why = "the domain does not start",
            .mend = "sysctl vm.nr_hugepages=512  # 1 GiB, of 2 MiB each."};
}

// Only what is wrong.
Checks card_findings(const Json& domain, const Json& card, const std::string& name) {
    const std::string detail = fmt::format("type {}, line {}", card.at("type").get<std::string>(),
                                           card.at("line").get<long>());
    const std::string edit = fmt::format("virsh edit {}", shell_word(name_of(domain)));
    const std::string model = text_or_empty(card.at("model"));
    const auto queues = card.at("queues").get<uint32_t>();
    const auto vcpus = domain.at("vcpus").get<uint32_t>();
    Checks findings;
    if (card.at("type") == "vhostuser" && !model.starts_with("virtio")) {
        findings.push_back(
            {.name = name,
             .state = State::broken,
             .detail = fmt::format("{}, model {}", detail, model.empty() ? "left open" : model),
             .why = "only virtio cards speak vhost-user",
             .mend = edit + "  # Write <model type='virtio'/>."});
    }
    if (queues > vcpus) {
        findings.push_back(
            {.name = name,
             .state = State::limited,
             .detail = fmt::format("{}, {} queue pairs for {} vCPUs", detail, queues, vcpus),
             .why = "a guest uses one queue pair for each vCPU at most; each costs "
                    "a thread of the pump or of vhost-net",
             .mend = fmt::format("{}  # Write queues='{}'.", edit, vcpus)});
    }
    if (card.at("type") == "ethernet") {
        const std::string target = text_or_empty(card.at("target"));
        try {
            InterfaceSpec::parse({.parent = target, .name = target});
        } catch (const Error& error) {
            findings.push_back({.name = name,
                                .state = State::broken,
                                .detail = fmt::format("{}, {}", detail, error.what()),
                                .why = "Tapline makes no device of that name",
                                .mend = edit + "  # Write <target dev='tl0' managed='no'/>."});
        }
    }
    return findings;
}

} // namespace

Json read_domain(const std::string& tapline_xml, const std::string& file) {
    const auto answer = answer_of({tapline_xml, "show", "--json", "--", file});
    if (!answer) {
        throw Error({.operation = fmt::format("execute {}", tapline_xml),
                     .cause = "it is not there or is no program",
                     .next_step = "install Tapline, or set TAPLINE_EXEC_PATH"});
    }
    if (answer->status != 0) { // "tapline-xml: sentence\n", or nothing where it was killed.
        const auto begin = answer->errors.find(": ");
        const std::string sentence =
            begin == std::string::npos ? "" : answer->errors.substr(begin + 2);
        throw Error(
            {.operation = fmt::format("ask {} of {}", tapline_xml, file),
             .cause = sentence.empty() ? "it failed" : sentence.substr(0, sentence.find('\n'))});
    }
    return Json::parse(answer->output);
}

std::vector<std::string> parents_of(const Json& domain) {
    std::vector<std::string> parents;
    for (const Json& card : domain.at("interfaces")) {
        const std::string parent = text_or_empty(card.at("parent"));
        if (!parent.empty() && std::ranges::find(parents, parent) == parents.end()) {
            parents.push_back(parent);
        }
    }
    return parents;
}

Checks domain_checks(const Host& host, const Json& domain) {
    const Json& cards = domain.at("interfaces");
    const bool has_vhost_user =
        std::ranges::any_of(cards, [](const Json& card) { return card.at("type") == "vhostuser"; });
    Checks checks = {memory_check(domain, has_vhost_user), hugepages_check(host, domain)};
    for (size_t number = 0; number < cards.size(); ++number) {
        const std::string name = fmt::format("domain-card {}/{}", name_of(domain), number + 1);
        Checks findings = card_findings(domain, cards[number], name);
        if (findings.empty()) {
            findings.push_back(
                {.name = name,
                 .state = State::ok,
                 .detail = fmt::format("type {}", cards[number].at("type").get<std::string>())});
        }
        append(checks, std::move(findings));
    }
    return checks;
}

} // namespace tapline::doctor
