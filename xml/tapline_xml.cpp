// The program behind `tapline xml`: what libvirt's domain XML says of a guest's network cards.
#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/base/program.h"
#include "backend/base/unique_fd.h"
#include "backend/json.h"
#include "backend/verbs/verb.h"
#include "xml/convert.h"
#include "xml/document.h"
#include "xml/domain.h"
#include "xml/domain_json.h"
#include "xml/forms.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace tapline::xml {
namespace {

constexpr auto columns =
    "{:>2} {:>5} {:<10} {:<15} {:<12} {:<15} {:<17} {:<10} {:>6} {:>5} {:<5}\n";

// As errors call it.
std::string quoted(const std::string& file) {
    return fmt::format("'{}'", file);
}

// Of a file, or of standard input where its name is "-". Stops when there is too much.
std::string text_of(const std::string& file) {
    const UniqueFd opened(file == "-" ? -1 : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (file != "-" && !opened) {
        throw Error::from_errno(fmt::format("open domain XML {}", quoted(file)));
    }
    std::string text;
    std::array<char, 4096> some{};
    while (text.size() <= document_bytes_max) {
        const ssize_t bytes =
            ::read(opened ? opened.get() : STDIN_FILENO, some.data(), some.size());
        if (bytes < 0) {
            throw Error::from_errno(fmt::format("read domain XML {}", quoted(file)));
        }
        if (bytes == 0) {
            break;
        }
        text.append(some.data(), static_cast<size_t>(bytes));
    }
    return text;
}

std::string row(const Interface& interface, size_t number) {
    std::optional<InterfaceSpec> device;
    if (interface.device) {
        device = InterfaceSpec::parse(*interface.device);
    }
    const auto or_dash = [](const std::optional<std::string>& text) { return text.value_or("-"); };
    return fmt::format(columns, number, interface.line, to_text(interface.kind),
                       device ? device->parent() : or_dash(interface.parent),
                       device ? to_text(device->mode()) : or_dash(interface.mode),
                       or_dash(device ? device->name() : interface.target),
                       interface.mac ? interface.mac->text() : "-", or_dash(interface.model),
                       interface.queue_pairs, interface.mtu ? fmt::to_string(*interface.mtu) : "-",
                       interface.trust_guest_rx_filters ? "yes" : "no");
}

std::string as_text(const Domain& domain) {
    std::string text = fmt::format("{}: {} vCPUs, memory {}, {}\n", domain.name, domain.vcpus,
                                   domain.shared_memory ? "shared" : "not shared",
                                   domain.hugepages ? "huge pages" : "small pages");
    if (!domain.interfaces.empty()) {
        text += fmt::format(columns, "NO", "LINE", "TYPE", "PARENT", "MODE", "DEVICE", "MAC",
                            "MODEL", "QUEUES", "MTU", "TRUST");
    }
    size_t number = 0;
    for (const Interface& each : domain.interfaces) {
        text += row(each, ++number);
    }
    return text;
}

int show_verb(const Arguments& arguments) {
    bool json = false;
    CommandLine command_line("FILE", "Show the network cards of a domain that Tapline can serve. "
                                     "FILE holds libvirt's XML; - is standard input.");
    command_line.flag("json", "Print the domain as a JSON object", json);
    const Arguments files = command_line.parse(arguments);
    if (files.size() != 1) {
        throw UsageError("show needs one FILE, or - for standard input");
    }
    const std::string& file = files.front();
    const Domain domain = Domain::parse(text_of(file), quoted(file));
    print_text(json ? to_line(to_json(domain)) + '\n' : as_text(domain));
    return 0;
}

constexpr std::array<std::pair<std::string_view, InterfaceKind>, 3> forms{
    {{"pump", InterfaceKind::vhostuser},
     {"handoff", InterfaceKind::ethernet},
     {"direct", InterfaceKind::direct}}};

InterfaceKind form_of(const std::optional<std::string>& text) {
    const auto* found =
        std::ranges::find(forms, text.value_or(""), &decltype(forms)::value_type::first);
    if (found == forms.end()) {
        throw UsageError("convert needs --to pump, --to handoff or --to direct");
    }
    return found->second;
}

std::string droppable() {
    std::string names;
    for (const std::string_view name : droppable_names()) {
        names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
    }
    return names;
}

int convert_verb(const Arguments& arguments) {
    std::optional<std::string> to;
    std::optional<std::string> which;
    std::vector<std::string> drop;
    CommandLine command_line("FILE", "Print the domain with its network cards in another form, "
                                     "and every other byte as it is. FILE holds libvirt's XML; "
                                     "- is standard input.");
    command_line.value("to", "FORM", "pump, handoff or direct", to);
    command_line.value("interface", "MAC|NUMBER|all",
                       "Which card; numbers are those that show prints (default: all)", which);
    command_line.list("drop", "NAME",
                      "Do without this element or setting, which the form cannot have; repeatable",
                      drop);
    const Arguments files = command_line.parse(arguments);
    if (files.size() != 1) {
        throw UsageError("convert needs one FILE, or - for standard input");
    }
    for (const std::string& name : drop) {
        if (!is_droppable(name)) {
            throw UsageError(fmt::format("--drop knows no '{}', only {}", name, droppable()));
        }
    }
    const std::string& file = files.front();
    const Conversion conversion{.to = form_of(to), .drop = drop};
    print_text(convert(text_of(file), quoted(file), conversion, which.value_or("all")));
    return 0;
}

constexpr Verb verbs[] = {{"show", "show a domain's network cards", show_verb},
                          {"convert", "rewrite them in another form", convert_verb}};

int run(Arguments arguments) {
    arguments.front() = "tapline-xml";
    if (tell_version("tapline-xml", arguments)) {
        return 0;
    }
    return run_one_of(verbs, arguments);
}

} // namespace
} // namespace tapline::xml

int main(int argc, char** argv) {
    return tapline::run_program("tapline-xml", [&] {
        return tapline::xml::run({argv, argv + argc});
    });
}
