#include "backend/base/program.h"

#include "backend/base/error.h"
#include "backend/base/log.h"
#include "backend/base/output.h"
#include "backend/base/unique_fd.h"

#include "config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glib.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <exception>

namespace tapline {
namespace {

// A closed one would be taken by the next thing opened, and written to as if it were our output.
void fill_standard_descriptors() {
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO) {
        fd = open("/dev/null", O_RDWR);
    }
    const UniqueFd surplus(fd);
}

// GOption prints its help by itself and then exits with 0, whatever came of that.
void print_or_exit(const gchar* text) {
    try {
        print_text(text);
    } catch (const Error& error) {
        log(LogLevel::error, "{}", error.what());
        std::exit(1);
    }
}

} // namespace

int run_program(const std::string& name, const std::function<int()>& body) {
    (void)std::setlocale(LC_CTYPE, "C.UTF-8"); // GOption's help has an ellipsis.
    (void)std::signal(SIGPIPE, SIG_IGN);       // A reader that goes is no reason to end.
    fill_standard_descriptors();
    set_up_logging(name);
    g_set_print_handler(print_or_exit);
    try {
        return body();
    } catch (const UsageError& error) {
        log(LogLevel::error, "{}", error.what());
        return 2;
    } catch (const std::exception& error) {
        log(LogLevel::error, "{}", error.what());
        return 1;
    }
}

bool tell_version(const std::string& program, const std::vector<std::string>& arguments) {
    if (arguments.size() < 2 || arguments[1] != "--version") {
        return false;
    }
    if (arguments.size() > 2) {
        throw UsageError(fmt::format("--version stands alone: leave out '{}'", arguments[2]));
    }
    print("{} {}\n", program, TAPLINE_VERSION);
    return true;
}

} // namespace tapline
