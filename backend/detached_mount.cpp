#include "backend/detached_mount.h"

#include <linux/mount.h>
#include <sys/mount.h>

namespace tapline {

UniqueFd mount_detached(const char* filesystem) {
    const UniqueFd context(fsopen(filesystem, FSOPEN_CLOEXEC));
    if (!context || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) {
        return UniqueFd();
    }
    return UniqueFd(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
}

} // namespace tapline
