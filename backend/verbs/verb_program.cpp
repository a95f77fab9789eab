#include "backend/verbs/verb_program.h"

#include "config.h"

#include <cstdlib>
#include <sstream>
#include <system_error>

namespace tapline {

std::filesystem::path verb_program(const std::string& verb) {
    const char* folders = std::getenv("TAPLINE_EXEC_PATH");
    std::istringstream stream(folders != nullptr && *folders != '\0' ? folders : TAPLINE_LIBEXEC);
    std::filesystem::path program;
    for (std::string folder; std::getline(stream, folder, ':');) {
        program = std::filesystem::path(folder) / ("tapline-" + verb);
        std::error_code unreadable;
        if (std::filesystem::exists(program, unreadable)) {
            break;
        }
    }
    return program;
}

} // namespace tapline
