"""Two network namespaces joined by a veth pair, in place of a host and the wire it is on.

    host namespace: uplink (the parent of the macvtap) ---veth--- peer0 :peer namespace
"""

import contextlib
import ctypes
import dataclasses
import os
import re
import shutil
import socket
import tempfile

from process import libc, run, signals_held, tail

RUN_FOLDER = "/run"
NAMESPACES = f"{RUN_FOLDER}/netns"
PREFIX = "tapline"
CLONE_NEWNET = 0x40000000

PARENT = "uplink"
PEER_LINK = "peer0"
PEER_IPV4, PEER_IPV6 = "198.51.100.1", "2001:db8::1"
GUEST_IPV4, GUEST_IPV6 = "198.51.100.2", "2001:db8::2"
IPV4_LENGTH, IPV6_LENGTH = 24, 64


class Namespace:
    def __init__(self, name):
        self.name = name

    def ip(self, *arguments):
        return run("ip", "-netns", self.name, *arguments)

    def command(self, *arguments):
        """A command line that runs in here, in the process that starts it."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def links(self):
        return re.findall(r"^\d+: ([^:@]+)", self.ip("-oneline", "link"), re.MULTILINE)

    def listen(self, address):
        """A TCP socket that belongs here for good, wherever its user runs."""
        with open(f"{NAMESPACES}/{self.name}") as ours, open("/proc/thread-self/ns/net") as before:
            enter(ours)
            try:
                return socket.create_server((address, 0))
            finally:
                enter(before)


@contextlib.contextmanager
def new_namespace(name):
    try:
        with signals_held():
            run("ip", "netns", "add", name)
        yield Namespace(name)
    finally:
        with signals_held():
            remove_namespace(name)


def remove_namespace(name):
    # May be gone: never made, or another run cleaned up faster.
    if os.path.exists(f"{NAMESPACES}/{name}"):
        run("ip", "netns", "delete", name)


def enter(namespace):
    if libc.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {namespace.name}")


@dataclasses.dataclass
class Lab:
    folder: str
    host: Namespace
    peer: Namespace

    def path(self, name):
        return f"{self.folder}/{name}"

    def logs(self, lines=15):
        """Name and end of each log that has something to say."""
        tails = {name: tail(self.path(name), lines)
                 for name in sorted(os.listdir(self.folder)) if name.endswith(".log")}
        return {name: text for name, text in tails.items() if text}


@contextlib.contextmanager
def open_lab():
    """Both namespaces and a folder for sockets and logs, all named after our process."""
    remove_leftovers()
    name = f"{PREFIX}-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=RUN_FOLDER) as folder, \
            new_namespace(f"{name}-host") as host, new_namespace(f"{name}-peer") as peer:
        join(host, peer)
        yield Lab(folder, host, peer)


def join(host, peer):
    host.ip("link", "add", PARENT, "type", "veth", "peer", "name", PEER_LINK, "netns", peer.name)
    host.ip("link", "set", PARENT, "up")
    peer.ip("address", "add", f"{PEER_IPV4}/{IPV4_LENGTH}", "dev", PEER_LINK)
    # Nobody else is there: no need to wait until the address is known to be unique.
    peer.ip("address", "add", f"{PEER_IPV6}/{IPV6_LENGTH}", "dev", PEER_LINK, "nodad")
    peer.ip("link", "set", PEER_LINK, "up")


def remove_leftovers():
    """What a run that was killed could not remove itself: everything named after a dead process."""
    ours = re.compile(rf"{PREFIX}-(\d+)-")

    def left(folder):
        matches = map(ours.match, os.listdir(folder) if os.path.isdir(folder) else ())
        return [match.string for match in matches
                if match and not os.path.exists(f"/proc/{match[1]}")]

    for name in left(NAMESPACES):
        remove_namespace(name)
    for name in left(RUN_FOLDER):
        shutil.rmtree(f"{RUN_FOLDER}/{name}", ignore_errors=True)
