"""The network cards that QEMU can give a guest, and a guest that has one of them."""

import contextlib
import dataclasses
import json
import shutil
import socket

from guest import Guest, Machine
from process import Failure
from unpacked import IPERF3

QMP_LIMIT_S = 10

# What the driver takes if the card has it. A card has all of these unless told otherwise.
FEATURES = {
    "csum": "VIRTIO_NET_F_CSUM",
    "guest_csum": "VIRTIO_NET_F_GUEST_CSUM",
    "guest_tso4": "VIRTIO_NET_F_GUEST_TSO4",
    "guest_tso6": "VIRTIO_NET_F_GUEST_TSO6",
    "host_tso4": "VIRTIO_NET_F_HOST_TSO4",
    "host_tso6": "VIRTIO_NET_F_HOST_TSO6",
    "mrg_rxbuf": "VIRTIO_NET_F_MRG_RXBUF",
    "event_idx": "VIRTIO_F_EVENT_IDX",
    "indirect_desc": "VIRTIO_F_INDIRECT_DESC",
    "packed": "VIRTIO_F_RING_PACKED",
    "mq": "VIRTIO_NET_F_MQ",
}
OFF_BY_DEFAULT = {"packed", "mq"}


@dataclasses.dataclass(frozen=True)
class Card:
    machine: Machine
    queue_pairs: int
    ring: str              # "split" or "packed"
    options: tuple = ()    # More of QEMU's virtio-net-pci, as "name=value".
    name: str = ""         # Of the options, if they are many.

    def __str__(self):
        queues = "1-queue" if self.queue_pairs == 1 else f"{self.queue_pairs}-queues"
        return "-".join((f"qemu-{self.machine.qemu_version()}", queues, self.ring,
                         *([self.name] if self.name else self.options)))

    def device_options(self):
        rings = ("packed=on",) if self.ring == "packed" else ()
        queues = () if self.queue_pairs == 1 else (
            "mq=on", f"vectors={2 * self.queue_pairs + 2}")
        return (*rings, *queues, *self.options)

    def expected_features(self):
        """Those that the driver must have taken, and those that it must not have."""
        told = dict(option.split("=") for option in self.device_options())
        taken = {feature for name, feature in FEATURES.items()
                 if told.get(name, "off" if name in OFF_BY_DEFAULT else "on") == "on"}
        return taken, set(FEATURES.values()) - taken


class CardGuest(Guest):
    """Has one processor: with several, QEMU 10.0 under TCG now and then fails an assertion of its
    own on MSI-X."""

    programs = (IPERF3, shutil.which("ethtool"), shutil.which("ip"))

    def __init__(self, lab, card, backend):
        self.nic = card
        self.monitor = lab.path("monitor.sock")
        super().__init__(lab, card.machine, backend)

    def card(self, lab, machine, backend):
        device = ",".join(("virtio-net-pci,netdev=net,romfile=", f"mac={backend['mac']}",
                           *self.nic.device_options()))
        pairs = self.nic.queue_pairs
        return ["-qmp", f"unix:{self.monitor},server=on,wait=off",
                "-chardev", f"socket,id=backend,path={backend['socket']}",
                "-netdev", f"vhost-user,id=net,chardev=backend,queues={pairs}",
                # What the machine needs to work at all comes last, and so it counts.
                "-device", device + machine.nic_options]

    def set_up_network(self):
        super().set_up_network()
        if self.nic.queue_pairs > 1:  # The driver begins with one a processor.
            self.run(f"ethtool -L eth0 combined {self.nic.queue_pairs}")

    def ip(self, arguments):
        """Not busybox's, which its shell would take."""
        return self.run(f"/usr/sbin/ip {arguments}")

    @contextlib.contextmanager
    def without(self, *offloads):
        self.run("ethtool -K eth0 " + " ".join(f"{offload} off" for offload in offloads))
        try:
            yield
        finally:
            self.run("ethtool -K eth0 " + " ".join(f"{offload} on" for offload in offloads))

    def order(self, command):
        """Of QEMU, by its monitor."""
        with socket.socket(socket.AF_UNIX) as monitor, monitor.makefile("rw") as lines:
            monitor.settimeout(QMP_LIMIT_S)
            monitor.connect(self.monitor)
            lines.readline()  # Its greeting.
            for each in ("qmp_capabilities", command):
                print(json.dumps({"execute": each}), file=lines, flush=True)
                answer = next(line for line in lines if "event" not in json.loads(line))
                if "error" in json.loads(answer):
                    raise Failure(f"{command}: {answer}")

    def reset(self):
        """As with the button of a real machine, whatever it is doing."""
        self.order("system_reset")
        self.wait_booted()
