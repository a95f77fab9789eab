// Whether a domain can run on this host as far as its network cards are concerned.
#pragma once

#include "backend/doctor/check.h"
#include "backend/doctor/host.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace tapline::doctor {

// What `tapline-xml show --json` says of the domain in a file. Throws Error in its words where it
// refuses.
nlohmann::json read_domain(const std::string& tapline_xml, const std::string& file);

// Of its interfaces of type direct, each once.
std::vector<std::string> parents_of(const nlohmann::json& domain);

Checks domain_checks(const Host& host, const nlohmann::json& domain);

} // namespace tapline::doctor
