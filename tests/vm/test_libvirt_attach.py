"""Cards are plugged into running guests and out again, in every way there is."""

import contextlib
import json
import os
import signal

import pytest

import traffic
from conftest import LAB, need
from lab import PARENT, PEER_IPV4, open_lab
from libvirt_guest import MACHINE, LibvirtGuest, define, domain_xml
from libvirt_host import TAPLINE, HostChild, LibvirtHost
from libvirt_plug import (CARD, MAC, NAME, WAYS, attach, busy_s, detach, guest_without_cards,
                          listed, plugged, pump_that_cannot_be_stopped, tapline, wait_for)
from process import Deadline, Failure, TalkingChild

DATA_MIB = 4
STOPPED = "stopped"  # Without shared memory, and it never runs.
SPARE_PORTS = 4
DEVICE = "tl525400123407"


@pytest.fixture(scope="module")
def host():
    need(MACHINE)
    with open_lab() as lab, LibvirtHost(lab) as host:
        host.run(TAPLINE, "hook", "install")
        host.start_libvirtd()
        define(host, domain_xml(lab, STOPPED, [], memory_backing=""))
        yield host


@pytest.fixture(scope="module")
def guest(host):
    with guest_without_cards(host) as guest:
        yield guest


@pytest.fixture(autouse=True)
def nothing_left(request, host, guest):
    request.node.stash[LAB] = host.lab
    before = state(host)
    yield
    after = state(host)
    assert after == {key: before[key] for key in after}


def state(host):
    found = {"trace": host.trace()}
    for name in (NAME, STOPPED):
        found[f"next start of {name}"] = description(host, name, "--inactive")
    if host.virsh("list", "--name").split():
        found["guest"] = description(host, NAME)
    return found


def description(host, name, *options):
    """Without the metadata's empty element, which libvirt keeps when all in it is gone."""
    return host.virsh("dumpxml", name, *options).replace("  <metadata/>\n", "")


@pytest.mark.parametrize("way", WAYS)
def test_card_comes_carries_and_goes_twice(host, guest, way):
    for _ in range(2):
        with plugged(host, guest, way, "--queues", "2"):
            assert traffic.ping(guest, PEER_IPV4, count=2).loss_percent == 0
            assert traffic.send(host.lab, guest, DATA_MIB).intact
            assert traffic.fetch(host.lab, guest, DATA_MIB).intact


@pytest.mark.parametrize("way", WAYS)
def test_list_tells_what_a_card_is(host, guest, way):
    with plugged(host, guest, way, "--queues", "2"):
        [card] = listed(host)
        pump = card.pop("pump_pid")
        assert card == {"domain": NAME, "mac": MAC, "way": way, "device": DEVICE,
                        "parent": PARENT, "mode": "bridge", "queues": 2, "state": "up"}
        assert isinstance(pump, int) == (way == "pump")
        assert MAC in tapline(host, "list", NAME)
        if way == "pump":
            with pump_that_cannot_be_stopped(host, DEVICE):  # Nor be asked.
                told = host.run("sh", "-c", f"{TAPLINE} libvirt list --json || test $? = 1")
            assert json.loads(told) == [card | {"pump_pid": None, "state": "unknown"}]


def refusal_of(host, *arguments, **options):
    with pytest.raises(Failure) as refusal:
        attach(host, *arguments, **options)
    return str(refusal.value)


@pytest.mark.parametrize("way", WAYS)
def test_missing_parent_is_refused(host, way):
    assert "'nosuch0': no such interface" in \
        refusal_of(host, way, "--parent", "nosuch0", *affected_by(way))


def affected_by(way):
    """What passes by libvirt has no next start."""
    return [] if way == "fds" else ["--live", "--config"]


@pytest.mark.parametrize("way", WAYS)
def test_address_that_is_taken_is_refused(host, guest, way):
    for first in WAYS:
        with plugged(host, guest, first):
            assert MAC in refusal_of(host, way)


@pytest.mark.parametrize("way", WAYS)
def test_name_that_libvirt_gives_is_refused(host, way):
    assert "takes 'macvtap7' for a name of its own" in refusal_of(host, way, "--name", "macvtap7")


def test_guest_without_room_is_refused(host, guest):
    macs = [f"52:54:00:12:35:{number:02x}" for number in range(SPARE_PORTS)]
    for mac in macs:
        attach(host, "handoff", "--mac", mac)
    full = host.trace()
    for way in WAYS:
        assert "add <controller type='pci' model='pcie-root-port'/>" in refusal_of(host, way)
    assert host.trace() == full
    for mac in macs:
        tapline(host, "detach", NAME, mac)


def test_pump_needs_memory_that_is_shared(host):
    refusal = refusal_of(host, "pump", domain=STOPPED)
    assert "memory, which is not shared (add <memoryBacking>" in refusal


def test_next_start_has_the_card_until_it_is_detached(host):
    attach(host, "handoff", "--multicast", "joined", "--allow", "52:54:00:00:00:01", "--mode",
           "source", domain=STOPPED)
    xml = host.virsh("dumpxml", STOPPED)
    assert "managed='no'" in xml and "multicast='joined'" in xml.replace('"', "'")
    host.virsh("define", "--validate", write(host, xml))
    detach(host, domain=STOPPED)


@pytest.mark.parametrize("way", ["handoff", "pump"])
def test_running_guest_and_its_next_start_have_the_card(host, guest, way):
    attach(host, way, "--live", "--config")
    for options in ((), ("--inactive",)):
        assert MAC in host.virsh("dumpxml", NAME, *options)
    detach(host, "--live", "--config")


@pytest.mark.parametrize("way", WAYS)
def test_card_whose_attachment_was_killed_is_detached(host, guest, way):
    with HostChild(host, TAPLINE, "libvirt", "attach", NAME, "--parent", PARENT, "--to", way,
                   "--mac", MAC, *affected_by(way), log="attach.log") as child:
        wait_for(lambda: DEVICE in host.namespace.links(), "the device")
        child.signal(signal.SIGKILL)
        child.process.wait()
    detach(host, *affected_by(way))


def test_device_with_its_parents_address_comes_and_goes(host, guest):
    mac = attach(host, "handoff", "--mode", "passthru", mac=None).split()[0]
    assert host.namespace.ip("link", "show", PARENT).count(mac) == 1
    tapline(host, "detach", NAME, mac)


def write(host, xml):
    host.write("/var/lib/libvirt/stopped.xml", xml)
    return "/var/lib/libvirt/stopped.xml"


def test_what_is_not_there_or_not_ours_is_not_detached(host, guest):
    with pytest.raises(Failure, match="no interface of that address"):
        detach(host)
    with plugged(host, guest, "direct"), pytest.raises(Failure, match="not one that Tapline made"):
        detach(host)


@pytest.mark.parametrize("way", WAYS)
def test_rest_of_a_card_that_others_took_is_detached(host, guest, way):
    with plugged(host, guest, way):
        if way == "fds":
            for command, name in ("device_del", "tapline-525400123407"), \
                    ("netdev_del", "tapline-net-525400123407"):
                ask_qemu(host, command, id=name)
                wait_for(lambda: CARD not in guest.run("ls /sys/class/net"), "the card to go")
        else:
            kind = "ethernet" if way == "handoff" else "vhostuser"
            host.virsh("detach-interface", NAME, kind, "--mac", MAC, "--live")


def test_guest_that_keeps_its_card_is_told_of(host, guest):
    with plugged(host, guest, "fds"), suspended(host), \
            pytest.raises(Failure, match="has not given the card up in 1 s"):
        detach(host, "--wait", "1")


@contextlib.contextmanager
def suspended(host):
    host.virsh("suspend", NAME)
    try:
        yield
    finally:
        host.virsh("resume", NAME)


def test_wait_for_one_guest_can_be_ended_and_is_not_for_others(host, guest):
    with plugged(host, guest, "handoff"):
        entry = f"mac='{MAC}'"
        with suspended(host):
            with HostChild(host, TAPLINE, "libvirt", "detach", NAME, MAC, "--wait", "600",
                           log="detach.log") as child:
                wait_for(lambda: entry not in description(host, NAME).replace('"', "'"),
                         "the detachment to begin")
                attach(host, "handoff", domain=STOPPED)
                detach(host, domain=STOPPED)
                child.signal(signal.SIGTERM)
                assert child.process.wait(60) == -signal.SIGTERM
        assert entry in description(host, NAME).replace('"', "'")


def test_wait_for_a_qemu_that_hangs_can_be_ended(host, guest):
    qemu, = host.pids("/qemu-system-x86_64 ")
    os.kill(qemu, signal.SIGSTOP)
    try:
        with HostChild(host, TAPLINE, "libvirt", "attach", NAME, "--parent", PARENT, "--mac", MAC,
                       log="attach.log") as child:
            wait_for(lambda: busy_s(host) > 0, "QEMU to be asked")
            child.signal(signal.SIGTERM)
            assert child.process.wait(60) == -signal.SIGTERM
    finally:
        os.kill(qemu, signal.SIGCONT)
    wait_for(lambda: not busy_s(host), "QEMU to answer")
    with plugged(host, guest, "handoff"):
        pass


def test_lock_is_not_for_everybody_to_take(host, guest):
    command = host.command("setpriv", "--reuid=nobody", "--clear-groups", "flock", "/run/tapline",
                           "sh", "-c", "echo locked; exec sleep 600")
    with TalkingChild(command, host.lab.path("flock.log")) as child:
        child.read_until(b"locked\n", Deadline(60))
        attach(host, "handoff", domain=STOPPED)
        detach(host, domain=STOPPED)


def test_card_that_qemu_refuses_leaves_no_descriptors(host, guest):
    qemu, = host.pids("/qemu-system-x86_64 ")
    netdev = f"tapline-net-{MAC.replace(':', '')}"
    ask_qemu(host, "netdev_add", type="hubport", hubid=7, id=netdev)
    before = len(os.listdir(f"/proc/{qemu}/fd"))
    try:
        assert "Duplicate ID" in refusal_of(host, "fds", "--queues", "2")
        assert len(os.listdir(f"/proc/{qemu}/fd")) == before
    finally:
        ask_qemu(host, "netdev_del", id=netdev)


def ask_qemu(host, command, **arguments):
    host.virsh("qemu-monitor-command", NAME, "--cmd",
               json.dumps({"execute": command, "arguments": arguments}))


def test_what_could_not_be_removed_stays_recorded(host, guest):
    with pump_that_cannot_be_stopped(host, DEVICE):
        assert f"{DEVICE}.lock" in refusal_of(host, "pump")
    detach(host)


# The last two: the guest ends, and another one starts.
def test_cards_outlive_libvirtd_and_end_with_their_guest(host, guest):
    before = host.trace()
    for number, way in enumerate(WAYS):
        attach(host, way, mac=f"52:54:00:12:36:{number:02x}")
    with_cards, cards = host.trace(), listed(host)
    assert len(cards) == len(WAYS)
    host.end_libvirtd(signal.SIGKILL)
    host.start_libvirtd()
    assert (host.trace(), listed(host)) == (with_cards, cards)
    guest.set_up_network()
    assert traffic.ping(guest, PEER_IPV4, count=2).loss_percent == 0
    host.virsh("destroy", NAME)
    assert host.trace() == before


def test_next_start_has_its_card(host, guest):
    attach(host, "handoff", "--config")
    # The emulator of the tests comes without the ROMs that cards boot from.
    xml = host.virsh("dumpxml", NAME, "--inactive")
    xml = xml.replace("</interface>", "<rom enabled='no'/></interface>")
    host.virsh("define", write(host, xml))
    host.virsh("start", NAME)
    with LibvirtGuest(host, NAME) as started:
        started.wait_booted()
        assert traffic.ping(started, PEER_IPV4, count=2).loss_percent == 0
    host.virsh("destroy", NAME)
    detach(host)
