// The access file of tapline-helper. Parts between form feeds are the file and what it may include,
// named 1, 2, ... beside it.
#include "backend/access_file.h"
#include "backend/base/error.h"
#include "tests/fuzz/input.h"

#include <map>
#include <string>

namespace tapline {
namespace {

using fuzz::require;

constexpr const char* file = "/access/0";

std::map<std::string, std::string> files_in(const std::string& text) {
    std::map<std::string, std::string> files;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find('\f', begin), text.size());
        files.emplace("/access/" + std::to_string(files.size()), text.substr(begin, end - begin));
        begin = end + 1;
    }
    return files;
}

void parse(const std::string& text) {
    const auto files = files_in(text);
    size_t reads = 0;
    try {
        const AccessRules rules = read_access_file(file, [&](const std::string& path) {
            require(++reads <= 64);
            const auto found = files.find(path);
            if (found == files.end()) {
                throw Error({.operation = "read " + path, .cause = "no such file"});
            }
            return found->second;
        });
        const AccessRequest request{
            .user = 0, .groups = {0}, .parent = "eth0", .mode = MacvlanMode::bridge};
        const AccessRule* rule = rules.deciding_rule(request);
        require(rules.allows(request) ==
                (rule != nullptr && rule->verdict == AccessRule::Verdict::allow));
        require(!rules.allows({.user = 0, .groups = {}, .parent = "", .mode = {}}));
    } catch (const Error& error) {
        const std::string sentence = error.what();
        require(sentence.starts_with("read /") && sentence.find('\n') == std::string::npos);
    }
}

} // namespace
} // namespace tapline

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    tapline::parse({data, data + size});
    return 0;
}
