"""What QEMU and the pump agree on beside the traffic: who connects, and the MTU."""

import signal

import traffic
from guest import Guest
from lab import PEER_IPV4
from monitored_guest import MonitoredGuest
from pump import Pump

RECONNECT = ("--client", "--reconnect", "10")


class ListeningGuest(Guest):
    """QEMU listens; the pump connects."""

    chardev_options = ",server=on"


class GuestWithMtu(Guest):
    nic_options = ",host_mtu=1400"


def assert_no_ping_is_lost(guest):
    assert traffic.ping(guest, PEER_IPV4, count=5).loss_percent == 0


def test_guest_keeps_its_network_over_restarts_of_a_pump_that_connects(lab, machine):
    with Pump(lab, "--mac", "52:54:00:00:00:01", *RECONNECT) as pump:
        listening = pump.wait_for("listening")
        with ListeningGuest(lab, machine, listening) as guest:
            guest.wait_booted()
            assert_no_ping_is_lost(guest)
            pump.signal(signal.SIGKILL)
            pump.end()
            with Pump(lab, "--mac", "52:54:00:00:00:01", *RECONNECT) as successor:
                while successor.wait_for("running")["queue_pairs"] == 0:
                    pass
                assert_no_ping_is_lost(guest)


def test_guest_has_the_mtu_that_qemu_was_told(lab, machine, listening):
    with GuestWithMtu(lab, machine, listening) as guest:
        guest.wait_booted()
        assert "mtu 1400" in guest.run("ip link show eth0")
        assert_no_ping_is_lost(guest)


# Saving is the first half of a migration: the memory is copied while the pump writes to it, and
# what it writes meanwhile is copied again, because the pump logs it.
def test_qemu_saves_a_running_guest_that_receives(lab, machine, pump, listening):
    with MonitoredGuest(lab, machine, listening) as guest:
        guest.wait_booted()
        guest.tell(f'migrate "exec:cat > {lab.path("saved")}"')
        assert "Migration status: completed" in guest.tell("info migrate")
        guest.tell("cont")
        assert_no_ping_is_lost(guest)
    assert pump.stop()[0]["counters"]["protocol_errors"] == {}
