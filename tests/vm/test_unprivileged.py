"""A guest of a QEMU without rights: it reaches the wire, and its device goes with it."""

import os

import pytest

import traffic
from conftest import lacking
from guest import MACHINES
from lab import PEER_IPV4, PEER_IPV6
from process import Deadline
from unprivileged import NOBODY, PROGRAM, UnprivilegedGuest, user_of

END_LIMIT_S = 10
DEVICE = "tl0"


# The one that users without rights may execute wherever the checkout is.
@pytest.mark.parametrize("machine", [MACHINES[0]], indirect=True, ids=["installed"])
def test_unprivileged_qemu_has_a_macvtap_until_it_ends(lab, machine):
    if not os.path.exists(PROGRAM):
        lacking(f"{PROGRAM} is not built")
    with UnprivilegedGuest(lab, machine, None) as guest:
        guest.wait_booted()
        assert user_of(guest.pid) == NOBODY
        assert DEVICE in lab.host.links()
        for address in (PEER_IPV4, PEER_IPV6):
            assert traffic.ping(guest, address, count=5).loss_percent == 0
        for transfer in (traffic.send, traffic.fetch):
            assert transfer(lab, guest, 16).intact
    deadline = Deadline(END_LIMIT_S)
    while deadline.left_s() and DEVICE in lab.host.links():
        pass
    assert DEVICE not in lab.host.links()
