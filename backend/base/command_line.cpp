#include "backend/base/command_line.h"

#include "backend/base/error.h"

namespace tapline {

CommandLine::CommandLine(const std::string& synopsis, const std::string& summary)
    : context_(g_option_context_new(synopsis.c_str()), g_option_context_free) {
    g_option_context_set_summary(context_.get(), summary.c_str());
}

void CommandLine::flag(const char* name, const char* help, bool& target) {
    add(name, nullptr, help, [&target](const char*) { target = true; });
}

void CommandLine::value(const char* name, const char* argument, const char* help,
                        std::optional<std::string>& target) {
    add(name, argument, help, [&target](const char* value) { target = value; });
}

void CommandLine::list(const char* name, const char* argument, const char* help,
                       std::vector<std::string>& target) {
    add(name, argument, help, [&target](const char* value) { target.emplace_back(value); });
}

void CommandLine::add(const char* name, const char* argument, const char* help, Setter setter) {
    setters_.emplace(std::string("--") + name, std::move(setter));
    entries_.push_back(
        {.long_name = name,
         .short_name = 0,
         .flags = argument == nullptr ? G_OPTION_FLAG_NO_ARG : G_OPTION_FLAG_FILENAME,
         .arg = G_OPTION_ARG_CALLBACK,
         .arg_data = reinterpret_cast<gpointer>(on_option),
         .description = help,
         .arg_description = argument});
}

gboolean CommandLine::on_option(const gchar* name, const gchar* value, gpointer self, GError**) {
    static_cast<CommandLine*>(self)->setters_.at(name)(value);
    return TRUE;
}

// GOption takes "--flag=no" for the flag and drops the value.
void CommandLine::refuse_values_of_flags(const std::vector<std::string>& arguments) const {
    for (const std::string& argument : arguments) {
        for (const GOptionEntry& entry : entries_) {
            if ((entry.flags & G_OPTION_FLAG_NO_ARG) != 0 &&
                argument.starts_with(std::string("--") + entry.long_name + "=")) {
                throw UsageError(argument + ": the option takes no value");
            }
        }
    }
}

std::vector<std::string> CommandLine::parse(const std::vector<std::string>& arguments) {
    refuse_values_of_flags(arguments);
    entries_.push_back({}); // GOption's end of table.
    GOptionGroup* group = g_option_group_new("", "", "", this, nullptr);
    g_option_group_add_entries(group, entries_.data());
    g_option_context_set_main_group(context_.get(), group);

    g_auto(GStrv) argv = g_new0(gchar*, arguments.size() + 1);
    for (size_t i = 0; i < arguments.size(); ++i) {
        argv[i] = g_strdup(arguments[i].c_str());
    }
    g_autoptr(GError) error = nullptr;
    if (!g_option_context_parse_strv(context_.get(), &argv, &error)) {
        throw UsageError(std::string(error->message) + " (see --help)");
    }
    std::vector<std::string> rest;
    for (gchar** argument = argv; *argument != nullptr; ++argument) {
        const bool end_of_options = rest.empty() && g_str_equal(*argument, "--");
        if (argument != argv && !end_of_options) { // argv[0] is the program's name.
            rest.emplace_back(*argument);
        }
    }
    return rest;
}

void CommandLine::parse_options(const std::vector<std::string>& arguments) {
    if (const auto rest = parse(arguments); !rest.empty()) {
        throw UsageError("'" + rest.front() + "' is no option");
    }
}

} // namespace tapline
