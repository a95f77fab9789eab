// A program's or verb's options, declared one line each and parsed by GOption.
#pragma once

#include <glib.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tapline {

class CommandLine {
public:
    // synopsis follows the program's name in the usage line; summary is the paragraph below it.
    CommandLine(const std::string& synopsis, const std::string& summary);

    // Each target outlives parse(); what was not given is left as it is.
    void flag(const char* name, const char* help, bool& target);
    void value(const char* name, const char* argument, const char* help,
               std::optional<std::string>& target);
    void list(const char* name, const char* argument, const char* help,
              std::vector<std::string>& target);

    // Returns the arguments that are no options. Throws UsageError. --help prints and exits 0.
    std::vector<std::string> parse(const std::vector<std::string>& arguments);
    // The same where there may be nothing but options.
    void parse_options(const std::vector<std::string>& arguments);

private:
    using Setter = std::function<void(const char*)>;

    static gboolean on_option(const gchar* name, const gchar* value, gpointer self, GError**);
    void refuse_values_of_flags(const std::vector<std::string>& arguments) const;
    void add(const char* name, const char* argument, const char* help, Setter setter);

    std::unique_ptr<GOptionContext, decltype(&g_option_context_free)> context_;
    std::vector<GOptionEntry> entries_;
    std::map<std::string, Setter> setters_;
};

} // namespace tapline
