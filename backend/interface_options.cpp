#include "backend/interface_options.h"

namespace tapline {

void add_interface_options(CommandLine& command_line, InterfaceText& text) {
    command_line.value("parent", "IF", "Interface the device is made on", text.parent);
    command_line.value("mode", "MODE",
                       "bridge, vepa, private, passthru or source (default: bridge)", text.mode);
    command_line.value("kind", "KIND", "macvtap or ipvtap (default: macvtap)", text.kind);
    command_line.value("name", "NAME", "Name of the device (default: first free tlN)", text.name);
    command_line.value("mac", "MAC", "Its address (default: random, 52:54:00:..)", text.mac);
    command_line.value("mtu", "BYTES", "Its MTU (default: the parent's)", text.mtu);
    command_line.list("allow", "MAC", "Source address let through in mode source; repeatable",
                      text.allow);
    command_line.value("queues", "N", "Queue pairs (default: 1)", text.queues);
    command_line.value("queue-length", "FRAMES", "Frames a queue holds (default: 1024)",
                       text.queue_length);
    command_line.value("multicast", "POLICY",
                       "Groups that reach the guest: all, joined or none (default: all)",
                       text.multicast);
    command_line.value("owner", "USER[:GROUP]", "Owner of its /dev/tapN (default: unchanged)",
                       text.owner);
}

} // namespace tapline
