"""Devices follow what guests ask of their cards, where the owner allows it."""

import contextlib
import os
import signal
import socket

import pytest

from conftest import LAB, need
from lab import PEER_IPV4, open_lab
from libvirt_cards import DIRECT, domain_uuid
from libvirt_guest import MACHINE, define, domain_xml
from libvirt_host import TAPLINE, HostChild, LibvirtHost
from libvirt_plug import (CARD, CARD_XML, NAME, PLUG_LIMIT_S, WAYS, attach, busy_s,
                          guest_without_cards, plugged, pump_that_cannot_be_stopped, wait_for)
from process import Failure, run, tail

# The guest joins this address' solicited-node group when it takes the address, and who looks for
# the address asks that group: without it there is no answer.
ADDRESS = "2001:db8::abcd"
GROUP = "33:33:ff:00:ab:cd"
CHANGED_MAC = "52:54:00:77:77:77"
FLIPS = 5
WATCHDOG = "/var/lib/libvirt/watchdog.sock"


@pytest.fixture(scope="module")
def host():
    need(MACHINE)
    with open_lab() as lab, LibvirtHost(lab) as host:
        host.start_libvirtd()
        yield host


@pytest.fixture(scope="module")
def guest(host):
    with guest_without_cards(host) as guest:
        yield guest


@pytest.fixture(autouse=True)
def logs(request, host, guest):
    request.node.stash[LAB] = host.lab


class Agent(HostChild):
    def __init__(self, host, *options, environment=()):
        self.log = host.lab.path("agent.log")
        super().__init__(host, "env", *environment, TAPLINE, "libvirt", "agent", *options,
                         log="agent.log")
        wait_for(lambda: "connected to libvirt" in self.said(), "the agent to connect")

    def said(self):
        return tail(self.log, 100)

    def end(self):
        status = super().end()
        os.truncate(self.log, 0)  # The next one's begins here.
        return status


def peer_reaches(host, address):
    """Whether it answers the peer, who looks for it anew."""
    host.lab.peer.ip("neighbour", "flush", "dev", "peer0")
    with contextlib.suppress(Failure):
        run(*host.lab.peer.command("ping", "-c", "1", "-W", "1", address))
        return True
    return False


def joins(guest):
    guest.run(f"ip address add {ADDRESS}/64 dev {CARD}")


def leaves(guest):
    guest.run(f"ip address del {ADDRESS}/64 dev {CARD}")


def changes_mac(guest):
    guest.run(f"ip link set {CARD} address {CHANGED_MAC}")


def guest_reaches_peer(guest):
    guest.start(f"ping -c 1 -W 1 {PEER_IPV4}")
    return guest.finish()[1] == 0


@pytest.mark.parametrize("way", ["direct", *WAYS])
def test_guest_that_may_is_followed(host, guest, way):
    with Agent(host), plugged(host, guest, way, "--multicast", "joined", trusted=True):
        joins(guest)
        wait_for(lambda: peer_reaches(host, ADDRESS), "the group to be joined")
        changes_mac(guest)
        wait_for(lambda: guest_reaches_peer(guest), "the new address to be heard")
        assert CHANGED_MAC in host.namespace.ip("link")


@pytest.mark.parametrize("way", ["direct", *WAYS])
def test_guest_that_may_not_is_not_followed(host, guest, way):
    with Agent(host, "--direct-multicast", "none") as agent, \
            plugged(host, guest, way, "--multicast", "none"):
        joins(guest)
        assert guest_reaches_peer(guest)
        changes_mac(guest)
        wait_for(lambda: f"'{NAME}' uses MAC address {CHANGED_MAC}" in agent.said(),
                 "the agent to tell")
        assert CHANGED_MAC not in host.namespace.ip("link")
        assert not guest_reaches_peer(guest)
        assert not peer_reaches(host, ADDRESS)


def test_card_that_cannot_tell_has_all_groups(host, guest):
    host.write(CARD_XML, DIRECT.interface().replace("'virtio'", "'e1000e'"))
    with Agent(host) as agent:
        host.virsh("attach-device", NAME, CARD_XML, "--live")
        wait_for(lambda: "takes all multicast groups" in agent.said(), "the device to be changed")
        assert ",ALLMULTI" in host.namespace.ip("link", "show", "type", "macvtap")
        host.virsh("detach-device", NAME, CARD_XML, "--live")
        wait_for(lambda: "macvtap" not in host.virsh("domiflist", NAME), "the card to go")


def test_guest_leaves_a_group_and_so_does_its_device(host, guest):
    with Agent(host), plugged(host, guest, "handoff", "--multicast", "joined"):
        joins(guest)
        wait_for(lambda: GROUP in host.namespace.ip("maddress"), "the group to be joined")
        leaves(guest)
        wait_for(lambda: GROUP not in host.namespace.ip("maddress"), "the group to be left")


def test_guest_that_flips_its_address_does_not_fill_the_log(host, guest):
    with Agent(host) as agent, plugged(host, guest, "handoff", "--multicast", "joined"):
        for number in range(FLIPS):
            address = f"52:54:00:77:78:{number:02x}"
            guest.run(f"ip link set {CARD} address {address}")
            joins(guest)
            wait_for(lambda: GROUP in host.namespace.ip("maddress"), "the agent to look")
            leaves(guest)
            wait_for(lambda: GROUP not in host.namespace.ip("maddress"), "the agent to look")
        for line in "uses MAC address", "follows guest":  # One a minute.
            assert 0 < agent.said().count(line) < FLIPS


def test_domain_that_is_named_like_the_guests_uuid_is_another(host, guest):
    name = str(domain_uuid(NAME))
    define(host, domain_xml(host.lab, name, [], memory_backing=""))
    with Agent(host), plugged(host, guest, "handoff", "--multicast", "joined"):
        joins(guest)
        wait_for(lambda: GROUP in host.namespace.ip("maddress"), "the group to be joined")
    host.virsh("undefine", name)


def test_killed_agent_costs_the_guest_nothing(host, guest):
    with plugged(host, guest, "handoff", "--multicast", "joined"):
        with Agent(host) as agent:
            guest.start(f"ping -c 20 -i 0.1 {PEER_IPV4}")
            agent.signal(signal.SIGKILL)
            agent.process.wait()
            output, _ = guest.finish()
            assert "20 packets received" in output
        joins(guest)
        with Agent(host):
            wait_for(lambda: peer_reaches(host, ADDRESS), "the next agent to follow")


def test_agent_outlives_libvirtd(host, guest):
    with Agent(host) as agent, plugged(host, guest, "pump", "--multicast", "joined"):
        guest.start(f"ping -c 20 -i 0.1 {PEER_IPV4}")
        host.end_libvirtd(signal.SIGKILL)
        output, _ = guest.finish()
        assert "20 packets received" in output
        joins(guest)
        wait_for(lambda: "trying again" in agent.said(), "the agent to notice")
        host.start_libvirtd()
        wait_for(lambda: peer_reaches(host, ADDRESS), "the agent to come back")


def test_qemu_that_hangs_is_not_waited_for(host, guest):
    """While somebody else waits for it: the agent looks before it asks."""
    qemu, = host.pids("/qemu-system-x86_64 ")
    with plugged(host, guest, "handoff", "--multicast", "joined"), watchdog(host) as alive:
        joins(guest)
        os.kill(qemu, signal.SIGSTOP)
        try:
            with HostChild(host, "virsh", "qemu-monitor-command", NAME, "--hmp", "info version",
                           log="virsh.log"):
                wait_for(lambda: busy_s(host) > 2, "QEMU to be busy for long")
                with Agent(host, environment=[f"NOTIFY_SOCKET={WATCHDOG}"]) as agent:
                    wait_for(lambda: "does not answer" in agent.said(), "the agent to go by")
                    assert alive.recv(100) == b"READY=1"
                    assert alive.recv(100) == b"WATCHDOG=1"
                    os.kill(qemu, signal.SIGCONT)
                    wait_for(lambda: peer_reaches(host, ADDRESS), "the agent to look again")
        finally:
            os.kill(qemu, signal.SIGCONT)


@contextlib.contextmanager
def watchdog(host):
    """What systemd would be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(host.outside(WATCHDOG))
        told.settimeout(PLUG_LIMIT_S)
        yield told
    host.run("rm", WATCHDOG)


# Last: its guest ends.
def test_what_a_dead_domain_left_is_removed(host, guest):
    before = host.trace()
    with Agent(host):
        for number, way in enumerate(WAYS):
            attach(host, way, "--mac", f"52:54:00:12:36:{number:02x}")
        assert host.trace() != before
        with pump_that_cannot_be_stopped(host, "tl525400123601"):
            host.virsh("destroy", NAME)
            wait_for(lambda: "tl525400123602" not in host.namespace.links(), "the rest to go")
    with Agent(host):
        wait_for(lambda: host.trace() == before, "the agent to clean up")
