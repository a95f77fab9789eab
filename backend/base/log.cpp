#define G_LOG_USE_STRUCTURED
#define G_LOG_DOMAIN "tapline"

#include "backend/base/log.h"

#include <glib.h>
#include <poll.h>
#include <unistd.h>

namespace tapline {
namespace {

std::string program_name;

GLogWriterOutput on_log(GLogLevelFlags level, const GLogField* fields, gsize count, gpointer) {
    if (g_log_writer_default_would_drop(level, G_LOG_DOMAIN)) {
        return G_LOG_WRITER_HANDLED;
    }
    if (g_log_writer_is_journald(STDERR_FILENO)) {
        return g_log_writer_journald(level, fields, count, nullptr);
    }
    for (gsize i = 0; i < count; ++i) {
        if (g_str_equal(fields[i].key, "MESSAGE")) {
            write_line(STDERR_FILENO,
                       program_name + ": " + static_cast<const char*>(fields[i].value));
        }
    }
    return G_LOG_WRITER_HANDLED;
}

GLogLevelFlags glib_level(LogLevel level) {
    switch (level) {
    case LogLevel::debug:
        return G_LOG_LEVEL_DEBUG;
    case LogLevel::info:
        return G_LOG_LEVEL_MESSAGE; // GLib hides its own INFO unless asked.
    case LogLevel::warning:
        return G_LOG_LEVEL_WARNING;
    case LogLevel::error:
        return G_LOG_LEVEL_CRITICAL;
    }
    return G_LOG_LEVEL_MESSAGE;
}

} // namespace

void set_up_logging(const std::string& program) {
    program_name = program;
    g_log_set_writer_func(on_log, nullptr, nullptr);
}

void write_line(int fd, const std::string& text) {
    pollfd sink{.fd = fd, .events = POLLOUT, .revents = 0};
    if (poll(&sink, 1, 0) == 1 && (sink.revents & POLLOUT) != 0) {
        const std::string line = text + "\n";
        [[maybe_unused]] const ssize_t written = write(fd, line.data(), line.size());
    }
}

void log_text(LogLevel level, const std::string& text) {
    g_log_structured(G_LOG_DOMAIN, glib_level(level), "MESSAGE", "%s", text.c_str());
}

} // namespace tapline
