// What domains left that do not run any more: where no hook is installed, or it failed.
#pragma once

namespace tapline::libvirt {

class Connection;

// Goes on where something fails, and tells it in the log. Throws Error where libvirt does not
// answer.
void remove_leftovers(const Connection& connection);

} // namespace tapline::libvirt
