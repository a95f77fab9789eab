// How a domain reads in --json output; the keys are part of the command-line contract.
#pragma once

#include "xml/domain.h"

#include <nlohmann/json_fwd.hpp>

namespace tapline::xml {

nlohmann::ordered_json to_json(const Domain& domain);

} // namespace tapline::xml
