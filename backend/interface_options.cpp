#include "backend/interface_options.h"

#include "backend/network_namespace.h"

namespace tapline {

void add_interface_options(CommandLine& command_line, InterfaceText& text) {
    command_line.value("parent", "IF", "Interface the device is made on", text.parent);
    command_line.value("mode", "MODE",
                       "bridge, vepa, private, passthru or source (default: bridge)", text.mode);
    command_line.value("kind", "KIND", "macvtap or ipvtap (default: macvtap)", text.kind);
    command_line.value("layer", "LAYER", "Of an ipvtap: l2, l3 or l3s (default: l2)", text.layer);
    command_line.flag("nopromisc", "In mode passthru, leave the parent's promiscuity alone",
                      text.nopromisc);
    command_line.value("name", "NAME", "Name of the device (default: first free tlN)", text.name);
    command_line.value("mac", "MAC", "Its address (default: random, 52:54:00:..)", text.mac);
    command_line.value("mtu", "BYTES", "Its MTU (default: the parent's)", text.mtu);
    command_line.list("allow", "MAC", "Source address let through in mode source; repeatable",
                      text.allow);
    command_line.value("queues", "N", "Queue pairs (default: 1)", text.queues);
    command_line.value("queue-length", "FRAMES", "Frames a queue holds (default: 1024)",
                       text.queue_length);
    command_line.value("broadcast-queue-length", "FRAMES",
                       "Broadcasts that wait at the parent (default: the kernel's, 1000)",
                       text.broadcast_queue_length);
    command_line.value("multicast", "POLICY",
                       "Groups that reach the guest: all, joined or none (default: all)",
                       text.multicast);
    command_line.value("owner", "USER[:GROUP]", "Owner of its /dev/tapN (default: unchanged)",
                       text.owner);
    command_line.value("node-mode", "OCTAL", "Permissions of its /dev/tapN (default: unchanged)",
                       text.node_mode);
}

NetworkNamespaceOption::NetworkNamespaceOption(CommandLine& command_line) {
    command_line.value("netns", "NAME|PATH|PID",
                       "Network namespace of parent and device (default: the caller's)", text_);
}

UniqueFd NetworkNamespaceOption::enter() const {
    if (!text_) {
        return UniqueFd();
    }
    UniqueFd left = open_own_network_namespace();
    enter_network_namespace(open_network_namespace(*text_));
    return left;
}

} // namespace tapline
