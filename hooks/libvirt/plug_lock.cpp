#include "hooks/libvirt/plug_lock.h"

#include "backend/base/error.h"
#include "backend/record_folder.h"

#include "config.h"

#include <fcntl.h>
#include <sys/file.h>

namespace tapline::libvirt {

PlugLock::PlugLock() {
    make_record_folder(TAPLINE_RUNSTATE "/domains");
    folder_.reset(open(TAPLINE_RUNSTATE, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder_ || flock(folder_.get(), LOCK_EX) < 0) {
        throw Error::from_errno("lock " TAPLINE_RUNSTATE);
    }
}

} // namespace tapline::libvirt
