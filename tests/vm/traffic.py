"""Pings, and bulk data of which each end works out the sum for itself."""

import contextlib
import dataclasses
import hashlib
import os
import re
import signal
import socket
import time

from lab import GUEST_IPV4, PEER_IPV4
from process import Child, Failure, tail

FILE = "/tmp/data"
LIMIT_S = 60
PING_INTERVAL_S = 0.01


@dataclasses.dataclass
class Ping:
    sent: int
    received: int
    rtt_ms: tuple  # Least, average, most; empty when nothing came back.

    @property
    def loss_percent(self):
        return 100 * (self.sent - self.received) / self.sent


def ping(guest, address, count):
    guest.start(f"ping -c {count} -i 0.2 {address}")
    output, _ = guest.finish(LIMIT_S)
    packets = re.search(r"(\d+) packets transmitted, (\d+) packets received", output)
    if not packets:
        raise Failure(f"guest: ping {address}: {output.strip()}")
    rtt = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+) ms", output)
    return Ping(int(packets[1]), int(packets[2]), tuple(map(float, rtt.groups())) if rtt else ())


@contextlib.contextmanager
def pinged(lab, record_property, what):
    """The peer pings the guest meanwhile; how many it lost is told and recorded."""
    log = lab.path("ping.log")
    command = lab.peer.command("ping", "-q", "-i", str(PING_INTERVAL_S), GUEST_IPV4)
    with Child(command, log) as child:
        yield
        child.signal(signal.SIGINT)  # Then it tells.
        child.process.wait(LIMIT_S)
    sent, received = map(int, re.findall(r"(\d+) packets transmitted, (\d+)", tail(log, 5))[-1])
    record_property(what, f"{sent - received} of {sent} pings lost")
    print(f"{what}: {sent - received} of {sent} pings lost, {PING_INTERVAL_S} s apart")


@dataclasses.dataclass
class Transfer:
    size: int
    seconds: float
    sent_sum: str
    received_sum: str

    @property
    def intact(self):
        return self.sent_sum == self.received_sum

    @property
    def mbit_per_s(self):
        return self.size * 8 / self.seconds / 1e6


def send(lab, guest, mebibytes):
    """Random bytes from the guest to the peer."""
    guest.run(f"dd if=/dev/urandom of={FILE} bs=1M count={mebibytes}")
    return send_file(lab, guest, mebibytes, guest_sum(guest))


def fetch(lab, guest, mebibytes):
    """Random bytes from the peer to the guest."""
    transfer = fetch_file(lab, guest, mebibytes)
    guest.run(f"rm {FILE}")
    return transfer


def exchange(lab, guest, mebibytes):
    """The same random bytes from the peer to the guest and back. Takes the guest half the work."""
    there = fetch_file(lab, guest, mebibytes)
    return there, send_file(lab, guest, mebibytes, there.received_sum)


def send_file(lab, guest, mebibytes, sent_sum):
    with lab.peer.listen(PEER_IPV4) as server:
        # With cat on the socket the file goes out in large pieces; nc itself copies in small ones.
        guest.start(f"nc {PEER_IPV4} {server.getsockname()[1]} -e cat {FILE}; rm {FILE}")
        with accept(server) as connection:
            start = time.monotonic()
            data = b"".join(iter(lambda: connection.recv(1 << 20), b""))
            seconds = time.monotonic() - start
    guest.finish()
    return Transfer(mebibytes << 20, seconds, sent_sum, hashlib.sha256(data).hexdigest())


def fetch_file(lab, guest, mebibytes):
    data = os.urandom(mebibytes << 20)
    with lab.peer.listen(PEER_IPV4) as server:
        guest.start(f"nc {PEER_IPV4} {server.getsockname()[1]} -e dd of={FILE} bs=64k")
        with accept(server) as connection:
            start = time.monotonic()
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)  # Returns when dd has written all of it and closed its end.
            seconds = time.monotonic() - start
    guest.finish()
    return Transfer(len(data), seconds, hashlib.sha256(data).hexdigest(), guest_sum(guest))


def guest_sum(guest):
    return guest.run(f"sha256sum {FILE}").split()[0]


def accept(server):
    server.settimeout(LIMIT_S)
    try:
        connection, _ = server.accept()
    except TimeoutError:
        raise Failure("guest did not connect to peer in time") from None
    connection.settimeout(LIMIT_S)
    return connection
