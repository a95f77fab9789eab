"""A virtual machine whose only network card is served by a vhost-user backend."""

import functools
import os
import re
import shutil

import initramfs
from lab import GUEST_IPV4, GUEST_IPV6, IPV4_LENGTH, IPV6_LENGTH
from process import Deadline, Failure, TalkingChild, run, tail
from unpacked import CHECKOUT, IPERF3

BOOT_LIMIT_S = 90
COMMAND_LIMIT_S = 30
# On a busy machine the kernel would take the timer for broken, and panic.
KERNEL_OPTIONS = "console=ttyS0 quiet no_timer_check"
RECORD_SEPARATOR = b"\x1e"


class Machine:
    """A QEMU, and the unpacked kernel it boots."""

    def __init__(self, name, qemu, kernel_root, nic_options=()):
        self.name = name
        self.qemu = qemu
        self.kernel_root = f"{CHECKOUT}/build/guest/{kernel_root}"
        self.nic_options = ",".join(("", *nic_options))

    @functools.cache
    def qemu_version(self):
        """Such as 7.2; where it is not there, where it would be from."""
        if not os.path.exists(self.qemu):
            return self.name
        return re.search(r"version (\d+\.\d+)", run(self.qemu, "--version"))[1]

    def missing(self):
        """The first file that is not there, or None."""
        needed = (self.qemu, self.kernel_root, initramfs.BUSYBOX, IPERF3)
        return next((path for path in needed if not os.path.exists(path)), None)


MACHINES = (
    # QEMU 7.2 under TCG crashes with MSI-X on a vhost-user card.
    Machine("installed", "/usr/bin/qemu-system-x86_64", "kernel", nic_options=["vectors=0"]),
    Machine("backports", f"{CHECKOUT}/build/guest/backports/usr/bin/qemu-system-x86_64",
            "backports"),
)


class Shell:
    """Runs commands in a guest, one at a time, over a serial port that answers when it has booted.
    Needs `write()` and `read_until()` of that port, and `console`, the file of the other one."""

    def wait_booted(self):
        """Until the shell answers; then gets its network ready."""
        self.finish(BOOT_LIMIT_S)
        self.set_up_network()

    def set_up_network(self, card="eth0"):
        """Gives the network card its addresses."""
        # As on the peer: nobody else can have the address.
        self.run(f"echo 0 > /proc/sys/net/ipv6/conf/{card}/accept_dad")
        self.run(f"ip address add {GUEST_IPV4}/{IPV4_LENGTH} dev {card}")
        self.run(f"ip address add {GUEST_IPV6}/{IPV6_LENGTH} dev {card}")
        self.run(f"ip link set {card} up")

    def reboot(self):
        self.start("reboot -f")
        self.wait_booted()

    def start(self, command):
        self.write(command.encode() + b"\n")

    def finish(self, limit_s=COMMAND_LIMIT_S):
        """Output and exit status of the command that was started."""
        deadline = Deadline(limit_s)
        try:
            output = self.read_until(RECORD_SEPARATOR, deadline)
            status = self.read_until(b"\n", deadline)
        except Failure as failure:
            raise Failure(f"guest: {failure}\n{tail(self.console, 5)}") from None
        return output.decode(errors="replace"), int(status)

    def run(self, command, limit_s=COMMAND_LIMIT_S):
        """Output of a command that must succeed."""
        self.start(command)
        output, status = self.finish(limit_s)
        if status:
            raise Failure(f"guest: '{command}' gave {status}: {output.strip()}")
        return output


class Guest(Shell, TalkingChild):
    """A QEMU that we started; its serial port is its standard input and output."""

    modules = ("virtio_pci", "virtio_net")
    programs = ()  # Besides busybox.
    memory = "256M"
    cpus = 1
    kernel_options = ""
    chardev_options = ""
    nic_options = ""

    def __init__(self, lab, machine, backend):
        """`backend` is what the pump said when it began to listen."""
        kernel = initramfs.Kernel(machine.kernel_root)
        archive = lab.path("initramfs")
        initramfs.build(kernel, archive, self.modules, self.programs)
        image = shutil.copy(kernel.image, lab.path("kernel"))  # Where any user could read it.
        self.console = lab.path("console.log")
        super().__init__([
            *self.launcher(lab),
            machine.qemu, "-nodefaults", "-no-user-config", "-display", "none",
            "-accel", "tcg", "-m", self.memory, "-smp", str(self.cpus),
            "-machine", "q35,memory-backend=memory",
            # The backend maps the memory of the guest, so it must be a file both can share.
            "-object", f"memory-backend-memfd,id=memory,size={self.memory},share=on",
            "-kernel", image, "-initrd", archive,
            "-append", f"{KERNEL_OPTIONS} {self.kernel_options}",
            "-serial", f"file:{self.console}",
            "-chardev", "stdio,id=shell,signal=off", "-serial", "chardev:shell",
            *self.card(lab, machine, backend),
        ], lab.path("qemu.log"))

    def launcher(self, lab):
        """What QEMU is started with."""
        return []

    def card(self, lab, machine, backend):
        """QEMU's options of the network card."""
        return ["-chardev", f"socket,id=backend,path={backend['socket']}{self.chardev_options}",
                "-netdev", "vhost-user,id=net,chardev=backend",
                "-device", f"virtio-net-pci,netdev=net,mac={backend['mac']},"
                           f"romfile={self.nic_options}{machine.nic_options}"]
