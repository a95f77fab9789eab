"""A front end and a driver that are not QEMU and Linux."""

import os

import pytest

from conftest import lacking, need
from dpdk import TESTPMD, VirtioUser
from guest import MACHINES
from lab import GUEST_IPV4
from process import run

PINGS = 2000  # More than any ring has entries.
FEATURES = {"packed_vq": "VIRTIO_F_RING_PACKED", "in_order": "VIRTIO_F_IN_ORDER",
            "mrg_rxbuf": "VIRTIO_NET_F_MRG_RXBUF"}
DRIVERS = (
    "packed_vq=0,in_order=0,mrg_rxbuf=1",
    "packed_vq=0,in_order=1,mrg_rxbuf=1,queue_size=1024",
    "packed_vq=0,in_order=1,mrg_rxbuf=0",
    "packed_vq=0,in_order=1,mrg_rxbuf=0,vectorized=1",
    "packed_vq=1,in_order=0,mrg_rxbuf=1",
    "packed_vq=1,in_order=0,mrg_rxbuf=0,queue_size=1024",
    "packed_vq=1,in_order=1,mrg_rxbuf=1,queue_size=64",
    "packed_vq=1,in_order=1,mrg_rxbuf=0,vectorized=1",
)


@pytest.fixture(scope="module")
def machine():
    need(MACHINES[0])
    if not os.path.exists(TESTPMD):
        lacking(f"{TESTPMD} is missing; run script/bootstrap")


@pytest.mark.parametrize("options", DRIVERS)
def test_virtio_user_answers_pings(lab, pump, listening, options):
    with VirtioUser(lab, listening, options) as driver:
        driver.start()
        features = pump.wait_for("running")["features"]
        for option, feature in FEATURES.items():
            assert (feature in features) == (f"{option}=1" in options)
        for size in (60, 1400):
            answer = run(*lab.peer.command("ping", "-f", "-q", "-c", str(PINGS), "-s", str(size),
                                           GUEST_IPV4))
            assert " 0% packet loss" in answer
        assert driver.quit() == 0
    counters = pump.wait_for("disconnected")["counters"]
    assert counters["protocol_errors"] == {}
    for direction in ("guest_to_wire", "wire_to_guest"):
        assert counters[direction]["frames"] >= 2 * PINGS
        assert counters[direction]["dropped"] == counters[direction]["ring_faults"] == {}
