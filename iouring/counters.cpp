#include "iouring/counters.h"

namespace tapline {

const char* to_text(Drop drop) {
    switch (drop) {
    case Drop::too_short:
        return "too_short";
    case Drop::too_long:
        return "too_long";
    case Drop::not_readable:
        return "not_readable";
    case Drop::refused_by_tap:
        return "refused_by_tap";
    case Drop::no_room_for_header:
        return "no_room_for_header";
    case Drop::too_big_for_guest:
        return "too_big_for_guest";
    case Drop::failed_read:
        return "failed_read";
    case Drop::disabled:
        return "disabled";
    case Drop::tap_busy:
        return "tap_busy";
    case Drop::spoofed_mac:
        return "spoofed_mac";
    case Drop::spoofed_ip:
        return "spoofed_ip";
    case Drop::router_advertisement:
        return "router_advertisement";
    case Drop::dhcp_answer:
        return "dhcp_answer";
    case Drop::unreadable:
        return "unreadable";
    }
    return "unknown";
}

} // namespace tapline
