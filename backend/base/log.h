// Log lines of the programs' main threads, through GLib. Libraries throw instead of logging.
#pragma once

#include <fmt/format.h>

#include <string>

namespace tapline {

enum class LogLevel { debug, info, warning, error };

// Lines go to stderr as "NAME: text", or to the journal where systemd connected it to stderr.
// Debug lines show with G_MESSAGES_DEBUG=all. Call once, before the first line.
void set_up_logging(const std::string& program);

void log_text(LogLevel level, const std::string& text);

// Adds the line to fd if that can be done at once. A reader that is slow or gone loses lines; the
// program goes on.
void write_line(int fd, const std::string& text);

template <typename... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    log_text(level, fmt::format(format, std::forward<Args>(args)...));
}

} // namespace tapline
