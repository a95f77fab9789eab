#include "hooks/libvirt/monitor.h"

#include "backend/base/error.h"
#include "hooks/libvirt/connection.h"

#include <fmt/format.h>

namespace tapline::libvirt {
namespace {

using nlohmann::json;

// Discarded where it is no JSON, or too much of it.
json parse(const std::string& text) {
    return text.size() <= qmp_text_bytes_max ? json::parse(text, nullptr, false)
                                             : json(json::value_t::discarded);
}

} // namespace

std::string qmp_command(const std::string& name, const json& arguments) {
    json command = {{"execute", name}};
    if (!arguments.empty()) {
        command["arguments"] = arguments;
    }
    return command.dump(-1, ' ', false, json::error_handler_t::replace);
}

json parse_qmp_answer(const std::string& operation, const std::string& text) {
    const json answer = parse(text);
    if (answer.is_object() && answer.contains("return")) {
        return answer["return"];
    }
    if (answer.is_object() && answer.contains("error")) {
        const json& error = answer["error"];
        const bool tells = error.is_object() && error.contains("desc") && error["desc"].is_string();
        const bool missing = error.is_object() && error.value("class", json()) == "DeviceNotFound";
        throw Error({.operation = operation,
                     .cause = tells ? error["desc"].get<std::string>() : "QEMU gives no cause",
                     .code = missing ? ENODEV : 0});
    }
    throw Error({.operation = operation, .cause = "QEMU's answer is none that QMP has"});
}

json parse_qmp_event(const std::string& text) {
    json details = parse(text);
    return details.is_object() ? details : json();
}

json ask_qemu(const Domain& domain, const std::string& name, const json& arguments, int fd) {
    return parse_qmp_answer(fmt::format("QEMU of domain '{}': {}", domain.name(), name),
                            domain.ask_qemu(qmp_command(name, arguments), fd));
}

} // namespace tapline::libvirt
