"""A real guest behind a real pump: what it may expect of its network card, and how it ends."""

import os
import time

import pytest

import traffic
from guest import Guest
from lab import PEER_IPV4, PEER_IPV6

TRANSFER_MIB = 64
IDLE_S = 3
IDLE_CPU_MAX_S = 0.05
EXPECTED_FEATURES = {
    "VIRTIO_F_VERSION_1", "VIRTIO_F_EVENT_IDX", "VIRTIO_NET_F_MRG_RXBUF",
    "VIRTIO_NET_F_CSUM", "VIRTIO_NET_F_HOST_TSO4", "VIRTIO_NET_F_HOST_TSO6",
    "VIRTIO_NET_F_GUEST_CSUM", "VIRTIO_NET_F_GUEST_TSO4", "VIRTIO_NET_F_GUEST_TSO6",
}


def assert_no_ping_is_lost(guest, address=PEER_IPV4):
    assert traffic.ping(guest, address, count=5).loss_percent == 0


def test_guest_negotiates_mergeable_buffers_event_index_and_segmentation(running):
    assert EXPECTED_FEATURES <= set(running["features"])


# IPv6 finds its neighbour by multicast, which a macvtap filters unless told otherwise.
@pytest.mark.parametrize("address", [PEER_IPV4, PEER_IPV6])
def test_no_ping_is_lost(guest, address):
    assert_no_ping_is_lost(guest, address)


@pytest.mark.parametrize("transfer", [traffic.send, traffic.fetch])
def test_bulk_data_arrives_as_it_was_sent(lab, guest, transfer):
    done = transfer(lab, guest, TRANSFER_MIB)
    print(f"{done.mbit_per_s:.0f} Mbit/s")
    assert done.received_sum == done.sent_sum


def test_pump_sleeps_while_the_guest_is_idle(pump, running):
    before = pump.cpu_s()
    time.sleep(IDLE_S)  # The length of the measurement, not a wait for something to happen.
    print("resident: {:.1f} MiB of its own, {:.1f} MiB of the guest's".format(*pump.resident_mib()))
    assert pump.cpu_s() - before <= IDLE_CPU_MAX_S


def test_traffic_flows_again_after_the_guest_rebooted(guest):
    assert_no_ping_is_lost(guest)
    guest.reboot()
    assert_no_ping_is_lost(guest)


def test_next_qemu_finds_the_pump_ready(lab, machine, pump, listening, guest):
    assert guest.end() == 0
    assert pump.wait_for("disconnected")
    with Guest(lab, machine, listening) as successor:
        successor.wait_booted()
        assert_no_ping_is_lost(successor)


def test_sigterm_ends_the_pump_with_success_and_leaves_no_device_or_socket(
        lab, pump, listening, guest):
    assert_no_ping_is_lost(guest)
    assert listening["device"] in lab.host.links()
    stopped, status = pump.stop()
    assert status == 0
    assert stopped["counters"]["guest_to_wire"]["frames"] > 0
    assert stopped["counters"]["wire_to_guest"]["frames"] > 0
    assert listening["device"] not in lab.host.links()
    assert not os.path.exists(listening["socket"])
