"""libvirt starts guests on Tapline's cards, and the hook does what they need."""

import contextlib
import signal

import pytest

import traffic
from conftest import LAB, need
from lab import PARENT, PEER_IPV4, open_lab
from libvirt_cards import CARDS, DIRECT, HANDOFF, PUMP
from libvirt_guest import MACHINE, define, domain_xml, start
from libvirt_host import TAPLINE, LibvirtHost
from process import Deadline, Failure

DATA_MIB = 64
MEND_LIMIT_S = 20
NAME = "guest"


@pytest.fixture(scope="module")
def host():
    need(MACHINE)
    with open_lab() as lab, LibvirtHost(lab) as host:
        host.run(TAPLINE, "hook", "install")
        host.start_libvirtd()
        yield host


@pytest.fixture(autouse=True)
def logs(request, host):
    request.node.stash[LAB] = host.lab


@pytest.fixture(autouse=True)
def nothing_left(host):
    """What a test made is gone when its domain is."""
    before = host.trace()
    yield
    if host.virsh("list", "--name").split():
        host.virsh("destroy", NAME)
    deadline = Deadline(MEND_LIMIT_S)
    while (after := host.trace()) != before:  # libvirtd may be at it, on its own.
        assert deadline.left_s(), after


def assert_data_passes(host, guest, mebibytes):
    assert traffic.ping(guest, PEER_IPV4, count=3).loss_percent == 0
    assert all(transfer.intact for transfer in traffic.exchange(host.lab, guest, mebibytes))


@pytest.mark.parametrize("queues", [1, 4])
@pytest.mark.parametrize("card", CARDS, ids=str)
def test_domain_runs_and_leaves_nothing(host, card, queues):
    define(host, domain_xml(host.lab, NAME, [card.with_queues(queues)]))
    with start(host, NAME) as guest:
        guest.run(f"ethtool -L eth0 combined {queues}")  # The driver begins with one a processor.
        assert_data_passes(host, guest, DATA_MIB)
        host.virsh("destroy", NAME)


def refusal_of(host, *cards, **options):
    """What virsh says, of a domain that cannot start."""
    define(host, domain_xml(host.lab, NAME, cards, **options))
    with pytest.raises(Failure) as refusal:
        host.virsh("start", NAME)
    return str(refusal.value)


@pytest.mark.parametrize("card", CARDS, ids=str)
def test_missing_parent_is_refused(host, card):
    assert "create macvtap on 'nosuch0': no such interface (see `ip link`)" in \
        refusal_of(host, card.on("nosuch0"))


@pytest.mark.parametrize("card", CARDS, ids=str)
def test_enslaved_parent_is_refused(host, card):
    host.namespace.ip("link", "add", "br0", "type", "bridge")
    host.namespace.ip("link", "set", PARENT, "master", "br0")
    try:
        refusal = refusal_of(host, card)
    finally:
        host.namespace.ip("link", "delete", "br0")
    assert f"create macvtap on '{PARENT}': it is a port of bridge 'br0'" in refusal


@pytest.mark.parametrize("card", CARDS, ids=str)
def test_passthru_conflict_is_refused(host, card):
    host.run(TAPLINE, "create", "--parent", PARENT, "--mode", "passthru", "--name", "alone")
    try:
        refusal = refusal_of(host, card)
    finally:
        host.run(TAPLINE, "delete", "alone")
    assert f"create macvtap on '{PARENT}': 'alone' has it for itself, in mode passthru" in refusal


@pytest.mark.parametrize("card", CARDS, ids=str)
def test_address_of_another_station_is_refused(host, card):
    host.run(TAPLINE, "create", "--parent", PARENT, "--mac", card.mac, "--name", "other")
    try:
        refusal = refusal_of(host, card)
    finally:
        host.run(TAPLINE, "delete", "other")
    assert f"create macvtap on '{PARENT}': 'other' has MAC address {card.mac}" in refusal


def test_memory_that_is_not_shared_is_refused(host):
    assert "the pump cannot reach the guest's memory, which is not shared" in \
        refusal_of(host, PUMP, memory_backing="")


@pytest.mark.parametrize("card", [HANDOFF, PUMP], ids=str)
def test_bad_metadata_is_refused(host, card):
    assert "metadata has no attribute 'colour' here" in \
        refusal_of(host, card.saying("colour='red'"))


def test_last_interface_that_fails_takes_the_others_with_it(host):
    refusal = refusal_of(host, HANDOFF, PUMP.on("nosuch0"), DIRECT)
    assert "create macvtap on 'nosuch0': no such interface" in refusal


@contextlib.contextmanager
def talking(host, guest, record_property, what):
    """The peer pings the guest meanwhile; in the end each gets answers from the other."""
    with traffic.pinged(host.lab, record_property, what):
        yield
        assert traffic.ping(guest, PEER_IPV4, count=3).loss_percent == 0


def wait_for_another(host, pattern, killed):
    deadline = Deadline(MEND_LIMIT_S)
    while host.pids(pattern) in (killed, []):
        assert deadline.left_s()


def test_guest_outlives_libvirtd_and_its_pump(host, record_property):
    define(host, domain_xml(host.lab, NAME, [PUMP]))
    with start(host, NAME) as guest:
        with talking(host, guest, record_property, "libvirtd was killed"):
            host.end_libvirtd(signal.SIGKILL)
            host.start_libvirtd()
        assert host.virsh("domstate", NAME).strip() == "running"

        with talking(host, guest, record_property, "the pump was killed"):
            killed = host.pids("/tapline-pump ")
            host.kill("/tapline-pump ")
            wait_for_another(host, "/tapline-pump ", killed)

        # Nobody is left who would start it, but libvirtd tells the hook when it is back.
        with talking(host, guest, record_property, "both were killed, and the keeper"):
            host.end_libvirtd(signal.SIGKILL)
            killed = host.pids("/tapline-pump ")
            host.kill("/tapline-hook keep-pump")
            host.start_libvirtd()
            wait_for_another(host, "/tapline-pump ", killed)
        host.virsh("destroy", NAME)


def test_qemu_that_was_killed_leaves_nothing(host):
    define(host, domain_xml(host.lab, NAME, CARDS))
    host.virsh("start", NAME)
    host.kill("/qemu-system-x86_64 ")
    deadline = Deadline(MEND_LIMIT_S)
    while host.virsh("list", "--name").split():
        assert deadline.left_s()


def test_domain_that_ended_without_libvirtd_leaves_nothing(host):
    define(host, domain_xml(host.lab, NAME, CARDS))
    host.virsh("start", NAME)
    host.end_libvirtd(signal.SIGKILL)
    host.kill("/qemu-system-x86_64 ")
    host.start_libvirtd()
    deadline = Deadline(MEND_LIMIT_S)
    while host.virsh("list", "--name").split():
        assert deadline.left_s()
