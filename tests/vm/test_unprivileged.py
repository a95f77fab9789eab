"""A guest of a QEMU without rights: it reaches the wire, and its device goes with it."""

import os

import pytest

import traffic
from conftest import lacking
from guest import MACHINES
from lab import PEER_IPV4, PEER_IPV6
from process import Deadline
from unprivileged import HELPER, NOBODY, TAPLINE, ExecutedGuest, HelpedGuest, user_of

END_LIMIT_S = 10
DEVICE = "tl0"


# The one that users without rights may execute wherever the checkout is.
installed_only = pytest.mark.parametrize("machine", [MACHINES[0]], indirect=True,
                                         ids=["installed"])


def need(program):
    if not os.path.exists(program):
        lacking(f"{program} is not built")


def wait_until_gone(lab, device):
    deadline = Deadline(END_LIMIT_S)
    while deadline.left_s() and device in lab.host.links():
        pass
    assert device not in lab.host.links()


def assert_pings(guest):
    for address in (PEER_IPV4, PEER_IPV6):
        assert traffic.ping(guest, address, count=5).loss_percent == 0


@installed_only
def test_qemu_has_a_macvtap_of_the_helper_until_it_ends(lab, machine):
    need(HELPER)
    with HelpedGuest(lab, machine, None) as guest:
        guest.wait_booted()
        assert user_of(guest.pid) == NOBODY
        assert DEVICE in lab.host.links()
        assert_pings(guest)
        for transfer in (traffic.send, traffic.fetch):
            assert transfer(lab, guest, 16).intact
    wait_until_gone(lab, DEVICE)


@installed_only
def test_qemu_has_the_queues_that_tapline_exec_opened_until_it_ends(lab, machine):
    need(TAPLINE)
    with ExecutedGuest(lab, machine, None) as guest:
        guest.wait_booted()
        assert user_of(guest.qemu_pid()) == NOBODY
        assert DEVICE in lab.host.links()
        assert guest.run("ls -d /sys/class/net/eth0/queues/rx-*").split()[1:]
        assert_pings(guest)
        guest.start("poweroff -f")
        assert guest.process.wait(END_LIMIT_S) == 0
    assert DEVICE not in lab.host.links()
