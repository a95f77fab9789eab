#include "hooks/settings.h"

#include "backend/base/error.h"
#include "backend/interface_spec.h"
#include "backend/record_folder.h"

#include "config.h"

#include <fmt/format.h>
#include <glib.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace tapline::hooks {
namespace {

namespace fs = std::filesystem;

constexpr auto path = TAPLINE_SYSCONF "/tapline.conf";
constexpr size_t bytes_max = 65536;
constexpr auto migrate_group = "migrate";
constexpr auto see_manual = "see FILES in tapline-hook(1)";

[[noreturn]] void refuse(const std::string& cause, const std::string& next_step) {
    throw Error(
        {.operation = fmt::format("read {}", path), .cause = cause, .next_step = next_step});
}

[[noreturn]] void refuse_line(size_t line, const std::string& cause) {
    throw Error({.operation = fmt::format("read {}, line {}", path, line),
                 .cause = cause,
                 .next_step = see_manual});
}

// Empty where there is no file. A link is followed: some keep all of /etc elsewhere.
std::string text_of_file() {
    std::error_code failure;
    const fs::file_status found = fs::symlink_status(path, failure);
    if (found.type() == fs::file_type::not_found) {
        return {};
    }
    const fs::path file = failure ? fs::path() : fs::canonical(path, failure);
    if (failure) {
        refuse(fs::is_symlink(found) ? "it is a link to what is not there" : failure.message(),
               "mend or remove it");
    }
    const UniqueFd opened = open_plain_file(file);
    if (!opened) {
        refuse("it is no plain file", "remove it, or write one");
    }
    const auto text = read_start(opened.get(), bytes_max + 1);
    if (!text) {
        throw Error::from_errno(fmt::format("read {}", path), "mend or remove it");
    }
    if (text->size() > bytes_max) {
        refuse(fmt::format("it is longer than {} bytes", bytes_max), see_manual);
    }
    return *text;
}

bool is_text(std::string_view line) {
    if (g_utf8_validate_len(line.data(), line.size(), nullptr) == 0) {
        return false;
    }
    for (const char* at = line.data(); at < line.data() + line.size(); at = g_utf8_next_char(at)) {
        const gunichar character = g_utf8_get_char(at);
        if (g_unichar_isprint(character) == 0 && character != '\t') {
            return false;
        }
    }
    return true;
}

std::string_view stripped(std::string_view text) {
    constexpr auto blanks = " \t\r";
    const size_t begin = text.find_first_not_of(blanks);
    return begin == std::string_view::npos
               ? std::string_view()
               : text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

class Reader {
public:
    explicit Reader(Settings& settings) : settings_(settings) {}

    void read(std::string_view line) {
        ++number_;
        line = stripped(line);
        if (!is_text(line)) {
            refuse_line(number_, "it is no text in UTF-8");
        }
        if (line.empty() || line.front() == '#') {
            return;
        }
        if (line.front() == '[' && line.back() == ']') {
            read_group(line.substr(1, line.size() - 2));
        } else {
            read_key(line);
        }
    }

private:
    void read_group(std::string_view group) {
        if (group != migrate_group) {
            refuse_line(number_, fmt::format("there is no group [{}]", group));
        }
        in_group_ = true;
    }

    void read_key(std::string_view line) {
        const size_t equals = line.find('=');
        if (equals == std::string_view::npos) {
            refuse_line(number_,
                        fmt::format("'{}' is neither [{}] nor NAME = PARENT", line, migrate_group));
        }
        const std::string key(stripped(line.substr(0, equals)));
        const std::string parent(stripped(line.substr(equals + 1)));
        if (!in_group_) {
            refuse_line(number_, fmt::format("key '{}' is in no group", key));
        }
        check_name("name", key, key);
        check_name("value", key, parent);
        if (!settings_.parents.emplace(key, parent).second) {
            refuse_line(number_, fmt::format("[{}] has key '{}' twice", migrate_group, key));
        }
    }

    // The kernel takes quotes and brackets, but here they are meant for something else.
    void check_name(const char* what, const std::string& key, const std::string& name) const {
        std::string cause = "it holds a quote or a bracket";
        if (name.find_first_of("'\"[]") == std::string::npos) {
            try {
                check_interface_name(name);
                return;
            } catch (const Error& error) {
                cause = error.what();
            }
        }
        refuse_line(number_, fmt::format("[{}] {}: its {} names no interface: {}", migrate_group,
                                         key, what, cause));
    }

    Settings& settings_;
    size_t number_ = 0;
    bool in_group_ = false;
};

} // namespace

Settings Settings::read() {
    Settings settings;
    Reader reader(settings);
    const std::string text = text_of_file();
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        reader.read(std::string_view(text).substr(begin, end - begin));
        begin = end + 1;
    }
    return settings;
}

} // namespace tapline::hooks
