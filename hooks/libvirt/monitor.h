// QMP: commands to the QEMU of one domain, through libvirt, and what it answers.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace tapline::libvirt {

class Domain;

// Longer ones are not read: the largest we ask for has some 50 KiB.
constexpr size_t qmp_text_bytes_max = 1 << 20;

std::string qmp_command(const std::string& name, const nlohmann::json& arguments);
// What the command returned. Throws Error, with QEMU's words where it refused; ENODEV where there
// is no such device.
nlohmann::json parse_qmp_answer(const std::string& operation, const std::string& text);
// The details of an event; null where there are none that can be read.
nlohmann::json parse_qmp_event(const std::string& text);

nlohmann::json ask_qemu(const Domain& domain, const std::string& name,
                        const nlohmann::json& arguments, int fd = -1);

} // namespace tapline::libvirt
