// The character device of a macvtap. Its number comes from sysfs and is never taken on trust.
#pragma once

#include "backend/base/unique_fd.h"
#include "backend/interface_spec.h"
#include "backend/macvtap_device.h"

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace tapline {

// What a file of sysfs says, as "MAJOR:MINOR\n". Throws Error, which names the path.
dev_t parse_device_number(const std::string& path, std::string_view text);

class TapNode {
public:
    // Throws Error where sysfs does not show the device.
    static TapNode of(const MacvtapDevice& device);

    // Opens /dev/tapN where that is this device's node, else one made for the moment of opening:
    // /dev is shared by all network namespaces, so /dev/tapN may be missing, as in a container, or
    // belong to a device of the same index in another one. Never opens anything else.
    UniqueFd open() const;

    // Sees to it that /dev/tapN is this device's node, also where none was made, or one of another
    // network namespace has the name: for a program that opens that and looks no further.
    void publish() const;
    // Removes that node, which stays behind where the kernel did not make it. Before the device
    // goes: afterwards another one may have its number.
    void withdraw() const noexcept;

    // Throws Error where /dev/tapN is not this device's node.
    void set_owner(const Owner& owner) const;
    void set_mode(mode_t mode) const;

    dev_t number() const { return number_; }
    const std::string& device_name() const { return device_name_; }

private:
    TapNode(const MacvtapDevice& device, dev_t number);
    UniqueFd open_private() const;
    UniqueFd look_at_path(const std::string& operation) const;

    std::string device_name_;
    std::string path_; // /dev/tapN
    dev_t number_;
};

// Gives /dev/tapN the owner and permissions the spec asks for, if it does.
void grant_node(const MacvtapDevice& device, const InterfaceSpec& spec);

// Paths of nodes that processes killed while opening one left in /dev.
std::vector<std::string> find_left_nodes();

} // namespace tapline
