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
    }
    return "unknown";
}

} // namespace tapline
