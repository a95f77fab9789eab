"""A libvirtd of its own on a host of its own: private network, processes, /dev and files."""

import contextlib
import os
import re
import signal

from process import Child, Deadline, Failure, TalkingChild, run, tail
from unpacked import CHECKOUT

BUILD = f"{CHECKOUT}/build/release"
TAPLINE = "/usr/local/bin/tapline"
LIBEXEC = "/usr/local/libexec/tapline"  # Meson's default.
HOOK = f"{LIBEXEC}/tapline-hook"
START_LIMIT_S = 30
COMMAND_LIMIT_S = 60

# What the packages of libvirt and systemd would set up. libvirt-qemu is the user that Debian's
# libvirt gives to QEMU; its package makes it, not the ones we need.
SET_UP = r"""set -e
mount --make-rprivate /
# /etc with what is in it, /run with the lab alone.
mount -t tmpfs -o mode=755 private /mnt
cp -a /etc/. /mnt
mount --move /mnt /etc
mount --bind $LAB /mnt
mount -t tmpfs -o mode=755 private /run
mkdir $LAB
mount --move /mnt $LAB
for folder in lib log cache; do
    mkdir -p /var/$folder/libvirt
    mount -t tmpfs -o mode=755 private /var/$folder/libvirt
done
rm -rf /etc/libvirt /etc/tapline
mkdir -p /etc/libvirt/hooks /etc/tapline /run/libvirt $LAB/$NAME
mount --bind $LAB/$NAME /run/libvirt  # Where other hosts reach it.
hostname $NAME
echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin >>/etc/passwd
echo libvirt-qemu:x:64055: >>/etc/group

# Tapline, as if it was installed.
mount -t tmpfs -o mode=755 private /usr/local
mkdir -p $LIBEXEC /usr/local/bin
ln -s $BUILD/backend/tapline /usr/local/bin/tapline
for program in $BUILD/*/tapline-* $BUILD/hooks/libvirt/tapline-*; do
    if [ -f $program ]; then ln -s $program $LIBEXEC; fi
done

# QEMU's modules, which the installed one only may load: another one aborts.
for folder in /usr/lib/*/qemu; do mount -t tmpfs private $folder; done

# The nodes /dev/tapN of all network namespaces meet in the machine's /dev.
mount -t tmpfs -o mode=755 private /dev
mkdir /dev/net /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=666 private /dev/pts
mount -t tmpfs private /dev/shm
ln -s pts/ptmx /dev/ptmx
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 net/tun:10:200; do
    IFS=: read -r name major minor <<end
$node
end
    mknod -m 666 /dev/$name c $major $minor
done
busybox mdev -d  # In place of udev: makes /dev/tapN.
for node in null zero full random urandom tty; do chmod 666 /dev/$node; done
chmod 1777 /dev/shm
echo ready
# The first process: the kernel shall take the orphans that end.
exec env --ignore-signal=CHLD cat >/dev/null
"""

QEMU_CONF = """
security_driver = "none"
cgroup_controllers = []
namespaces = []
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
stdio_handler = "file"
"""

LIBVIRTD_CONF = """
auth_unix_rw = "none"
host_uuid = "{uuid}"
log_outputs = "2:stderr"
"""


class Machine(TalkingChild):
    """All that runs on the host is a descendant of its first process, and ends with it."""

    def __init__(self, lab, namespace, name):
        super().__init__(
            namespace.command("env", f"BUILD={BUILD}", f"LIBEXEC={LIBEXEC}",
                              f"LAB={lab.folder}", f"NAME={name}",
                              "unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child",
                              "--mount-proc", "sh", "-c", SET_UP), lab.path(f"{name}.log"))

    def end(self):
        self.signal(signal.SIGKILL)
        return self.process.wait()


class HostChild(Child):
    """A process on the host. What starts it there stays outside, and ends as it ends."""

    def __init__(self, host, *command, log):
        super().__init__(host.command(*command), host.lab.path(log))

    def signal(self, number):
        if self.process.poll() is None:
            with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
                for pid in children.read().split() or [self.pid]:
                    os.kill(int(pid), number)


class LibvirtHost:
    """`with` block: libvirtd runs and answers. Another `name` is another host."""

    def __init__(self, lab, namespace=None, name="libvirt"):
        self.lab = lab
        self.namespace = namespace or lab.host
        self.name = name
        self.libvirtd = None

    def __enter__(self):
        self.left = contextlib.ExitStack()
        with self.left:
            machine = self.left.enter_context(Machine(self.lab, self.namespace, self.name))
            machine.read_until(b"ready\n", Deadline(START_LIMIT_S))
            with open(f"/proc/{machine.pid}/task/{machine.pid}/children") as children:
                self.first_process = int(children.read())
            self.write("/etc/libvirt/qemu.conf", QEMU_CONF)
            self.write("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF.format(
                uuid=f"c5d0a1e2-0000-4000-8000-{self.namespace_number():012x}"))
            self.left = self.left.pop_all()
        return self

    def __exit__(self, *_):
        if self.libvirtd:
            self.libvirtd.__exit__()
        self.left.close()

    def namespace_number(self):
        return os.stat(self.outside("/proc/1/ns/mnt")).st_ino

    def outside(self, path):
        """What is at `path` on this host, as the tests see it."""
        return f"/proc/{self.first_process}/root{path}"

    def write(self, path, text, mode=0o644):
        with open(self.outside(path), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)

    def command(self, *arguments):
        """A command line that runs on the host."""
        return ["nsenter", "--target", str(self.first_process), "--mount", "--net", "--pid",
                "--uts", *arguments]

    def run(self, *arguments, said=""):
        """What it prints when it is told this; Failure with what it says where it fails."""
        return run(*self.command(*arguments), limit_s=COMMAND_LIMIT_S, said=said)

    def hook(self, name, operation, xml):
        """As libvirt calls it."""
        return self.run(HOOK, name, operation, "begin", "-", said=xml)

    def pids(self, pattern):
        """Numbers, here and not on the host, of processes with such a command line."""
        inside = os.stat(self.outside("/proc/1/ns/pid")).st_ino
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as line:
                if os.stat(f"/proc/{pid}/ns/pid").st_ino == inside and re.search(
                        pattern, line.read().replace("\0", " ")):
                    found.append(int(pid))
        return found

    def kill(self, pattern):
        """With SIGKILL, the only one there is."""
        pid, = self.pids(pattern)
        os.kill(pid, signal.SIGKILL)

    def uri(self):
        """Of its libvirtd, for other hosts of the lab."""
        return f"qemu+unix:///system?socket={self.lab.path(self.name)}/libvirt-sock"

    def virsh(self, *arguments):
        return self.run("virsh", "--quiet", "--connect", "qemu:///system", *arguments)

    def trace(self):
        """What interfaces leave on a host while they are there: links, nodes, records, sockets,
        processes. Without the numbers that are never the same again."""
        nodes = [name[:3] for name in os.listdir(self.outside("/dev")) if name.startswith("tap")]
        files = [re.sub(r"devices/\w+", "devices/...", f"{folder}/{name}")
                 for folder, _, names in os.walk(self.outside("/run/tapline")) for name in names]
        programs = ["program"] * len(self.pids(r"/tapline-(pump|hook) "))
        return sorted((*self.namespace.links(), *nodes, *files, *programs))

    def start_libvirtd(self):
        """libvirtd looks for hooks when it starts, and only then."""
        self.libvirtd = HostChild(self, "libvirtd", log=f"{self.name}d.log")
        deadline = Deadline(START_LIMIT_S)
        while True:
            try:
                return self.virsh("list")
            except Failure as failure:
                if self.libvirtd.process.poll() is not None or not deadline.left_s():
                    said = tail(self.libvirtd.log_path, 5)
                    raise Failure(f"libvirtd does not answer: {failure}\n{said}") from None

    def end_libvirtd(self, number=signal.SIGTERM):
        """Its guests go on."""
        self.libvirtd.signal(number)
        self.libvirtd.end()
