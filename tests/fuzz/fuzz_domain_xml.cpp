// Domain XML from anywhere: what is accepted is a domain that can be.
#include "backend/base/error.h"
#include "tests/fuzz/input.h"
#include "xml/document.h"
#include "xml/domain.h"

#include <string>

namespace tapline::xml {
namespace {

using fuzz::require;

void read_domain(const std::string& text) {
    try {
        const Domain domain = Domain::parse(text, "input");
        require(text.size() <= document_bytes_max);
        require(!domain.name.empty() && domain.vcpus >= 1);
        for (const Interface& interface : domain.interfaces) {
            require(interface.line >= 1 && interface.queue_pairs >= 1);
            require(interface.parent.has_value() == (interface.kind == InterfaceKind::direct));
        }
    } catch (const Error&) {}
}

} // namespace
} // namespace tapline::xml

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    tapline::xml::read_domain({data, data + size});
    return 0;
}
