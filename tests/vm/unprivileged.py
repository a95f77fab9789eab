"""A QEMU without any rights, whose network card is a macvtap that another program made."""

import os
import re
import shutil

from guest import CHECKOUT, Guest
from lab import PARENT
from process import run

BUILD = f"{CHECKOUT}/build/release"
HELPER = f"{BUILD}/backend/tapline-helper"
TAPLINE = f"{BUILD}/backend/tapline"
MAC = "52:54:00:12:34:56"
NOBODY = 65534
RECORDS = "/run/tapline/devices"

# Runs in a mount namespace that `ip netns exec` made. The folder of the access file and its users
# are the lab's there, and so is a file system on which programs may have capabilities.
LAUNCH = f"""set -e
mount --bind "$0/private" "$1"
mount -t tmpfs helper "$0/helper"
cp {HELPER} "$0/helper"
setcap cap_net_admin,cap_dac_override+ep "$0/helper/tapline-helper"
shift
exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups "$@"
"""


def access_folder():
    """Where the program was built to look for its access file."""
    with open(f"{BUILD}/config.h") as config:
        return re.search(r'TAPLINE_SYSCONF "(.*)"', config.read())[1]


def open_to_nobody(lab, console_path):
    """What a QEMU of nobody reads and writes in the lab."""
    os.chmod(lab.folder, 0o755)
    with open(console_path, "w") as console:
        os.fchown(console.fileno(), NOBODY, NOBODY)


class HelpedGuest(Guest):
    """QEMU asks tapline-helper."""

    def launcher(self, lab):
        open_to_nobody(lab, self.console)
        os.mkdir(lab.path("helper"))
        os.makedirs(RECORDS, exist_ok=True)  # As systemd-tmpfiles does.
        parent, name = os.path.split(access_folder())
        shutil.copytree(parent, lab.path("private"), symlinks=True, dirs_exist_ok=True)
        os.chmod(lab.path("private"), 0o755)
        os.makedirs(lab.path(f"private/{name}"), exist_ok=True)
        with open(lab.path(f"private/{name}/access.conf"), "w") as rules:
            rules.write(f"allow nobody {PARENT} bridge\n")
        pass_indices_in_use(lab.host)
        return lab.host.command("sh", "-c", LAUNCH, lab.folder, parent)

    def card(self, lab, machine, backend):
        helper = f"{lab.path('helper')}/tapline-helper --parent {PARENT} --mac {MAC}"
        return ["-netdev", f"tap,id=net,helper={helper}",
                "-device", f"virtio-net-pci,netdev=net,mac={MAC},romfile="]


class ExecutedGuest(Guest):
    """tapline starts QEMU with two queues."""

    def launcher(self, lab):
        open_to_nobody(lab, self.console)
        return lab.host.command(TAPLINE, "exec", "--parent", PARENT, "--queues", "2",
                                "--user", "nobody", "--")

    def card(self, lab, machine, backend):
        return ["-smp", "2", "-netdev", "tap,id=net,fds={fds}",
                "-device", "virtio-net-pci,netdev=net,mac={mac},mq=on,vectors=6,romfile="]

    def qemu_pid(self):
        """The one child of tapline, which `ip netns exec` has become."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            return int(children.read())


def pass_indices_in_use(namespace):
    """All network namespaces share /dev: the next device shall find its node free."""
    while True:
        namespace.ip("link", "add", "probe", "link", PARENT, "type", "macvtap")
        index = int(re.match(r"\d+", namespace.ip("-oneline", "link", "show", "probe"))[0])
        namespace.ip("link", "delete", "probe")
        if not os.path.exists(f"/dev/tap{index + 1}"):
            return


def user_of(pid):
    return int(re.search(r"^Uid:\s+(\d+)", run("cat", f"/proc/{pid}/status"), re.MULTILINE)[1])
