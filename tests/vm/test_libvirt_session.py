"""A user's own libvirt, without rights: its guest has a device that root made for the user."""

import os

import pytest

import traffic
from guest import MACHINES
from lab import PARENT, PEER_IPV4
from libvirt_cards import HANDOFF, metadata_of
from libvirt_guest import LibvirtGuest, domain_xml
from libvirt_host import TAPLINE, LibvirtHost
from libvirt_plug import wait_for
from unprivileged import NOBODY, user_of

NAME = "guest"
DEVICE = f"tl{HANDOFF.digits}"
HOME = "/var/lib/libvirt"
XML = f"{HOME}/{NAME}.xml"


def virsh(host, *arguments):
    """It starts libvirtd, which ends with the host."""
    return host.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                    "env", f"HOME={HOME}", f"XDG_RUNTIME_DIR={HOME}",
                    "virsh", "--quiet", "--connect", "qemu:///session", *arguments)


def node_of(host, device):
    index = host.namespace.ip("-oneline", "link", "show", device).split(":")[0]
    node = f"/dev/tap{index}"
    return node if os.path.exists(host.outside(node)) else None


# Users without rights may execute the installed one wherever the checkout is.
@pytest.mark.parametrize("machine", [MACHINES[0]], indirect=True, ids=["installed"])
def test_guest_of_a_user_has_its_device(lab, machine):
    with LibvirtHost(lab) as host:
        host.run("sh", "-c", "umount /usr/lib/*/qemu")  # It needs its modules.
        host.run("chown", "nobody", HOME)
        os.chmod(lab.folder, 0o777)  # libvirt makes the console's log anew.
        xml = domain_xml(lab, NAME, [HANDOFF], memory_backing="", machine=machine)
        host.write(XML, xml.replace(metadata_of([HANDOFF]), ""))
        host.run(TAPLINE, "create", "--parent", PARENT, "--name", DEVICE, "--mac", HANDOFF.mac)
        # By hand: here mdev makes the node, a moment too late for --owner.
        wait_for(lambda: node_of(host, DEVICE), "the node")
        host.run("chown", "nobody", node_of(host, DEVICE))
        virsh(host, "create", XML)
        with LibvirtGuest(host, NAME) as guest:
            guest.wait_booted()
            assert user_of(host.pids("/qemu-system-x86_64 ")[0]) == NOBODY
            assert traffic.ping(guest, PEER_IPV4, count=3).loss_percent == 0
        virsh(host, "destroy", NAME)
        host.run(TAPLINE, "delete", DEVICE)
