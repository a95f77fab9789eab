#include "backend/access_file.h"

#include "backend/base/error.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

namespace tapline {
namespace {

constexpr size_t include_depth_max = 8;
constexpr size_t files_max = 64;
constexpr std::string_view blanks = " \t";
constexpr std::array modes = {MacvlanMode::bridge, MacvlanMode::vepa, MacvlanMode::private_mode,
                              MacvlanMode::passthru, MacvlanMode::source};

struct Place {
    std::string file;
    size_t line;
    size_t column; // Bytes from the beginning of the line, which is 1.
};

struct Word {
    std::string text;
    Place place;
};

[[noreturn]] void fail(const Place& place, const std::string& cause,
                       const std::string& next_step = {}) {
    throw Error({.operation = fmt::format("read {}:{}:{}", place.file, place.line, place.column),
                 .cause = cause,
                 .next_step = next_step});
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\t') || byte == 0x7f;
}

std::vector<Word> words_of(std::string_view line, Place place) {
    const auto control = static_cast<size_t>(std::ranges::find_if(line, is_control) - line.begin());
    if (control < line.size()) {
        place.column = control + 1;
        fail(place, "a control character", "lines end with a newline alone");
    }
    std::vector<Word> words;
    size_t begin = line.find_first_not_of(blanks);
    while (begin != std::string_view::npos && line[begin] != '#') {
        const size_t end = std::min(line.find_first_of(blanks, begin), line.size());
        place.column = begin + 1;
        words.push_back({.text = std::string(line.substr(begin, end - begin)), .place = place});
        begin = line.find_first_not_of(blanks, end);
    }
    return words;
}

// One more or one less than wanted is a rule of another meaning.
void require_words(const std::vector<Word>& words, size_t count, const char* form) {
    if (words.size() < count) {
        Place end = words.back().place;
        end.column += words.back().text.size();
        fail(end, "the line ends too early", fmt::format("write: {}", form));
    }
    if (words.size() > count) {
        fail(words[count].place, fmt::format("'{}' is too much", words[count].text),
             fmt::format("write: {}", form));
    }
}

void parse_subject(const Word& word, AccessRule& rule) {
    if (word.text == "all") {
        return;
    }
    if (word.text.starts_with('@')) {
        const std::string name = word.text.substr(1);
        const group* entry = getgrnam(name.c_str());
        if (entry == nullptr) {
            fail(word.place, fmt::format("no group '{}'", name));
        }
        rule.group = entry->gr_gid;
        return;
    }
    const passwd* account = getpwnam(word.text.c_str());
    if (account == nullptr) {
        fail(word.place, fmt::format("no user '{}'", word.text),
             "write USER, @GROUP or all, by their names");
    }
    rule.user = account->pw_uid;
}

void parse_parent(const Word& word, AccessRule& rule) {
    if (word.text == "all") {
        return;
    }
    try {
        check_interface_name(word.text);
    } catch (const Error& error) {
        fail(word.place, error.what());
    }
    rule.parent = word.text;
}

uint32_t parse_mode(const std::string& name, const Place& place) {
    for (const MacvlanMode mode : modes) {
        if (name == to_text(mode)) {
            return static_cast<uint32_t>(mode);
        }
    }
    fail(place, fmt::format("no mode '{}'", name),
         "write all, or some of bridge,vepa,private,passthru,source");
}

uint32_t parse_modes(const Word& word) {
    uint32_t bits = 0;
    if (word.text == "all") {
        for (const MacvlanMode mode : modes) {
            bits |= static_cast<uint32_t>(mode);
        }
        return bits;
    }
    for (size_t begin = 0; begin <= word.text.size();) {
        const size_t end = std::min(word.text.find(',', begin), word.text.size());
        Place place = word.place;
        place.column += begin;
        bits |= parse_mode(word.text.substr(begin, end - begin), place);
        begin = end + 1;
    }
    return bits;
}

class Parser {
public:
    explicit Parser(const ReadFile& read) : read_(read) {}

    void parse_file(const std::string& path, const std::string& text);
    std::vector<AccessRule> rules() && { return std::move(rules_); }

private:
    void parse_line(const std::vector<Word>& words);
    void parse_rule(const std::vector<Word>& words, AccessRule::Verdict verdict);
    void include(const Word& file);
    std::string text_of(const Word& file, const std::string& path) const;

    const ReadFile& read_;
    std::vector<AccessRule> rules_;
    std::vector<std::string> open_; // The file that is read, behind those that include it.
    size_t files_ = 0;
};

void Parser::parse_file(const std::string& path, const std::string& text) {
    ++files_;
    open_.push_back(path);
    size_t number = 0;
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        const Place place{.file = path, .line = ++number, .column = 1};
        parse_line(words_of(std::string_view(text).substr(begin, end - begin), place));
        begin = end + 1;
    }
    open_.pop_back();
}

void Parser::parse_line(const std::vector<Word>& words) {
    if (words.empty()) {
        return;
    }
    const Word& first = words.front();
    if (first.text == "include") {
        require_words(words, 2, "include FILE");
        include(words[1]);
    } else if (first.text == "allow") {
        parse_rule(words, AccessRule::Verdict::allow);
    } else if (first.text == "deny") {
        parse_rule(words, AccessRule::Verdict::deny);
    } else {
        fail(first.place, fmt::format("'{}' is no rule", first.text),
             "lines begin with allow, deny, include or #");
    }
}

void Parser::parse_rule(const std::vector<Word>& words, AccessRule::Verdict verdict) {
    require_words(words, 4, "allow|deny USER|@GROUP|all PARENT|all MODES");
    AccessRule rule{.verdict = verdict,
                    .modes = 0,
                    .place = fmt::format("{}:{}", words[0].place.file, words[0].place.line)};
    parse_subject(words[1], rule);
    parse_parent(words[2], rule);
    rule.modes = parse_modes(words[3]);
    rules_.push_back(std::move(rule));
}

std::string Parser::text_of(const Word& file, const std::string& path) const {
    try {
        return read_(path);
    } catch (const Error& error) {
        fail(file.place, error.what());
    }
}

void Parser::include(const Word& file) {
    const auto folder = std::filesystem::path(open_.back()).parent_path();
    const std::string path = (folder / file.text).lexically_normal(); // No link is followed.
    if (std::ranges::count(open_, path) > 0) {
        fail(file.place, fmt::format("{} includes itself", path));
    }
    if (open_.size() > include_depth_max) {
        fail(file.place,
             fmt::format("files include each other more than {} deep", include_depth_max));
    }
    if (files_ >= files_max) {
        fail(file.place, fmt::format("more than {} files", files_max));
    }
    parse_file(path, text_of(file, path));
}

} // namespace

AccessRules read_access_file(const std::string& path, const ReadFile& read) {
    Parser parser(read);
    parser.parse_file(path, read(path));
    return AccessRules(std::move(parser).rules());
}

} // namespace tapline
