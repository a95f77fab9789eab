"""A guest of libvirt that begins without network cards, and cards that are plugged into it."""

import contextlib
import json
import re

from lab import PARENT
from libvirt_cards import DIRECT
from libvirt_guest import LibvirtGuest, define, domain_xml
from libvirt_host import TAPLINE
from process import Deadline, Failure

NAME = "guest"
MAC = "52:54:00:12:34:07"
BOOT_LIMIT_S = 90
PLUG_LIMIT_S = 30
WAYS = ("handoff", "pump", "fds")  # Those of `tapline libvirt attach`.
CARD = "eth0"
CARD_XML = "/var/lib/libvirt/card.xml"  # On the host, what virsh plugs.


@contextlib.contextmanager
def guest_without_cards(host):
    define(host, domain_xml(host.lab, NAME, []))
    host.virsh("start", NAME)
    with LibvirtGuest(host, NAME) as guest:
        guest.finish(BOOT_LIMIT_S)  # The shell answers; there is no network to set up.
        yield guest
    if host.virsh("list", "--name").split():
        host.virsh("destroy", NAME)


def tapline(host, *arguments):
    return host.run(TAPLINE, "libvirt", *arguments)


def attach(host, way, *options, domain=NAME, mac=MAC):
    address = ["--mac", mac] if mac else []
    return tapline(host, "attach", domain, "--parent", PARENT, "--to", way, *address, *options)


def detach(host, *options, domain=NAME):
    return tapline(host, "detach", domain, MAC, *options)


def listed(host):
    return json.loads(tapline(host, "list", "--json"))


@contextlib.contextmanager
def plugged(host, guest, way, *options, trusted=False):
    """A card in the guest, ready to talk; of type direct by virsh, as libvirt itself knows it."""
    if way == "direct":
        xml = DIRECT.interface().replace(DIRECT.mac, MAC)
        if trusted:
            xml = xml.replace("type='direct'", "type='direct' trustGuestRxFilters='yes'")
        host.write(CARD_XML, xml)
        host.virsh("attach-device", NAME, CARD_XML, "--live")
    else:
        attach(host, way, *options, *(["--trust-guest-rx-filters"] if trusted else []))
    wait_for(lambda: CARD in guest.run("ls /sys/class/net").split(), "the card to come")
    guest.set_up_network()
    try:
        yield
    finally:
        if way == "direct":
            host.virsh("detach-device", NAME, CARD_XML, "--live")
        else:
            detach(host)
    wait_for(lambda: CARD not in guest.run("ls /sys/class/net").split(), "the card to go")


@contextlib.contextmanager
def pump_that_cannot_be_stopped(host, device):
    """As long as the block lasts: its lock cannot be opened."""
    pumps = "/run/tapline/pumps"
    lock = f"{device}.lock"
    host.run("sh", "-ec", f"mkdir -p {pumps}; cd {pumps}; touch {device}.options {lock}; "
                          f"mv {lock} aside; mknod {lock} c 10 250")  # Nobody's number.
    try:
        yield
    finally:
        host.run("sh", "-ec", f"cd {pumps}; mv aside {lock}")


def busy_s(host):
    """How long QEMU has been asked something and not answered."""
    busy = re.match(r"occupied \((.*)s\)", host.virsh("domcontrol", NAME))
    return float(busy[1]) if busy else 0


def wait_for(condition, what):
    """Each look takes a command in the guest or on the host, and so its time."""
    deadline = Deadline(PLUG_LIMIT_S)
    while not condition():
        if not deadline.left_s():
            raise Failure(f"waited {PLUG_LIMIT_S} s for {what}")
