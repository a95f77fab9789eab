// The program behind `tapline xml`: what libvirt's domain XML says of a guest's network cards.
#include "backend/base/command_line.h"
#include "backend/base/error.h"
#include "backend/base/output.h"
#include "backend/base/program.h"
#include "backend/base/unique_fd.h"
#include "backend/json.h"
#include "backend/verbs/verb.h"
#include "xml/document.h"
#include "xml/domain.h"
#include "xml/domain_json.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <array>

namespace tapline::xml {
namespace {

// Of a file, or of standard input where its name is "-". Stops when there is too much.
std::string text_of(const std::string& file) {
    const UniqueFd opened(file == "-" ? -1 : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (file != "-" && !opened) {
        throw Error::from_errno(fmt::format("open domain XML {}", file));
    }
    std::string text;
    std::array<char, 4096> some{};
    while (text.size() <= document_bytes_max) {
        const ssize_t bytes =
            ::read(opened ? opened.get() : STDIN_FILENO, some.data(), some.size());
        if (bytes < 0) {
            throw Error::from_errno(fmt::format("read domain XML {}", file));
        }
        if (bytes == 0) {
            break;
        }
        text.append(some.data(), static_cast<size_t>(bytes));
    }
    return text;
}

std::string as_text(const Domain& domain) {
    std::string text = fmt::format("{}: {} vCPUs, memory {}, {}\n", domain.name, domain.vcpus,
                                   domain.shared_memory ? "shared" : "not shared",
                                   domain.hugepages ? "huge pages" : "small pages");
    constexpr auto row = "{:>5} {:<10} {:<15} {:<12} {:<15} {:<17} {:<10} {:>6} {:>5}\n";
    if (!domain.interfaces.empty()) {
        text += fmt::format(row, "LINE", "TYPE", "PARENT", "MODE", "TARGET", "MAC", "MODEL",
                            "QUEUES", "MTU");
    }
    for (const Interface& each : domain.interfaces) {
        text += fmt::format(row, each.line, to_text(each.kind), each.parent.value_or("-"),
                            each.mode.value_or("-"), each.target.value_or("-"),
                            each.mac ? each.mac->text() : "-", each.model.value_or("-"),
                            each.queue_pairs, each.mtu ? fmt::to_string(*each.mtu) : "-");
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
    const Domain domain = Domain::parse(text_of(file), file);
    print_text(json ? to_line(to_json(domain)) + '\n' : as_text(domain));
    return 0;
}

constexpr Verb verbs[] = {{"show", "show a domain's network cards", show_verb}};

int run(Arguments arguments) {
    arguments.front() = "tapline-xml";
    if (arguments.size() == 2 && arguments[1] == "--version") {
        print("tapline-xml {}\n", TAPLINE_VERSION);
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
