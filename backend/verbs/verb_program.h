// Where the programs behind the verbs lie that are not built in.
#pragma once

#include <filesystem>
#include <string>

namespace tapline {

// tapline-VERB in the first folder of TAPLINE_EXEC_PATH that has it; where that is not set, in the
// libexec folder. Where none has it, the path it should have.
std::filesystem::path verb_program(const std::string& verb);

} // namespace tapline
