// A private network for one test program: its own network namespace with a veth pair, `uplink` as
// the parent of macvtaps and `peer0` as the other end of the wire. Gone with the process.
#pragma once

#include "backend/base/unique_fd.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tapline::netns {

// Call once, before any thread exists. False where the process may not (then tests must skip).
bool enter_private_network();

// Runs a command line with the shell; throws where it fails.
void run(const std::string& command);

std::string output_of(const std::string& command);

// What `ip -j -d link` says of all links, or of one; null where there is none of that name. Without
// what follows the carrier, which settles by itself.
nlohmann::json links();
nlohmann::json link(const std::string& name);

// Where tests have their socket: no other process has it.
std::string test_socket();

// Makes uplink and peer0, both up. Removes them with what stands on them.
class Wire {
public:
    explicit Wire(unsigned mtu = 1500);
    ~Wire();
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;
};

// A station on an interface that sends and receives whole frames, each behind a 10-byte virtio
// header (PACKET_VNET_HDR), so that offloads are seen as they travel.
class Station {
public:
    static constexpr size_t header_bytes = 10;

    explicit Station(const std::string& interface);
    // One that sees only frames of this ethertype, and only what is left for the host's own
    // programs, not what a device on the interface takes.
    Station(const std::string& interface, uint16_t ethertype);

    void send(std::span<const std::byte> frame); // Header included. Throws where refused.
    std::optional<std::vector<std::byte>> receive(std::chrono::milliseconds limit);

private:
    UniqueFd socket_;
};

} // namespace tapline::netns
