"""A guest that moves to another host, and another pump, while it talks."""

import hashlib
import os
import socket

import pytest

import traffic
from lab import IPV4_LENGTH, PARENT, PEER_IPV4, PEER_LINK, PREFIX, Lab, new_namespace
from monitored_guest import MonitoredGuest
from process import Deadline
from pump import Pump

MAC = "52:54:00:00:00:01"
MIGRATION_LIMIT_S = 60
CHUNKS, CHUNK_BYTES = 128, 256 << 10


class MovingGuest(MonitoredGuest):
    # QEMU before 9.0 loses writes of a TCG guest that moves, and so breaks it, where memory comes
    # in whole words of its dirty bitmap: 256 KiB ("physmem: Fix migration dirty bitmap coherency
    # with TCG memory access"). The rest of this size has it look page by page.
    memory = f"{(256 << 10) + 8}K"

    def __init__(self, lab, machine, backend, nic_options):
        self.nic_options = nic_options
        super().__init__(lab, machine, backend)


class ArrivingGuest(MovingGuest):
    """Waits for the state of another."""

    def card(self, lab, machine, backend):
        return [*super().card(lab, machine, backend), "-incoming", f"unix:{lab.path('state')}"]


@pytest.fixture
def target(lab):
    """A second host on the same wire: a bridge in the peer's namespace."""
    link = "peer1"
    folder = lab.path("target")
    os.mkdir(folder)
    with new_namespace(f"{PREFIX}-{os.getpid()}-target") as host:
        host.ip("link", "add", PARENT, "type", "veth", "peer", "name", link,
                "netns", lab.peer.name)
        host.ip("link", "set", PARENT, "up")
        lab.peer.ip("link", "add", "bridge0", "type", "bridge")
        lab.peer.ip("address", "flush", "dev", PEER_LINK)
        lab.peer.ip("address", "add", f"{PEER_IPV4}/{IPV4_LENGTH}", "dev", "bridge0")
        for name in (PEER_LINK, link):
            lab.peer.ip("link", "set", name, "master", "bridge0", "up")
        lab.peer.ip("link", "set", "bridge0", "up")
        yield Lab(folder, host, lab.peer)


def migrate(guest, to, meanwhile):
    guest.tell(f"migrate -d unix:{to.path('state')}")
    deadline = Deadline(MIGRATION_LIMIT_S)
    while "Migration status: completed" not in (status := guest.tell("info migrate")):
        assert "failed" not in status and deadline.left_s(), status
        meanwhile()


@pytest.fixture(params=["split", "packed"])
def guests(request, lab, machine, target):
    """One that runs, one that waits for it, and their pumps."""
    options = ",packed=on" if request.param == "packed" else ""
    with Pump(lab, "--mac", MAC) as pump, Pump(target, "--mac", MAC) as successor, \
            MovingGuest(lab, machine, pump.wait_for("listening"), options) as guest, \
            ArrivingGuest(target, machine, successor.wait_for("listening"), options) as arrived:
        guest.wait_booted()
        yield guest, arrived, pump
        assert successor.stop()[0]["counters"]["protocol_errors"] == {}


def test_a_guest_receives_one_stream_before_and_after_it_moved(lab, target, guests):
    guest, arrived, pump = guests
    received = hashlib.sha256()
    with lab.peer.listen(PEER_IPV4) as server:
        guest.start(f"nc {PEER_IPV4} {server.getsockname()[1]} -e dd of={traffic.FILE} bs=64k")
        with traffic.accept(server) as connection:
            left = [bytes([number]) * CHUNK_BYTES for number in range(CHUNKS)]

            def send_some():
                if len(left) > CHUNKS // 4:
                    received.update(left[-1])
                    connection.sendall(left.pop())

            migrate(guest, target, send_some)
            guest.end()
            # What still waited for the guest here is lost now, and the peer sends it again.
            assert pump.stop()[0]["counters"]["protocol_errors"] == {}
            for chunk in left:
                received.update(chunk)
                connection.sendall(chunk)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
    arrived.finish(traffic.LIMIT_S)
    assert traffic.guest_sum(arrived) == received.hexdigest()
    assert traffic.send(target, arrived, 8).intact
