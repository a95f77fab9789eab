"""A guest in the part of a host, on a kernel with what ours may lack: it runs tapline itself."""

import shutil

from guest import CHECKOUT, Guest

TAPLINE = f"{CHECKOUT}/build/release/backend/tapline"
BENCH = f"{CHECKOUT}/build/release/iouring/tapline-bench"
PUMP = f"{CHECKOUT}/build/release/iouring/tapline-pump"
IP = shutil.which("ip")
VHOST_NET_GUEST = f"{CHECKOUT}/build/release/tests/vm/vhost-net-guest"


class HostGuest(Guest):
    """Has no network card but a veth pair: uplink, the parent, and peer0, the wire."""

    modules = ("macvtap", "ipvtap", "veth", "vhost_net")
    programs = (TAPLINE, VHOST_NET_GUEST, IP)

    def card(self, lab, machine, backend):
        return []

    def set_up_network(self):
        self.ip("link add uplink type veth peer name peer0")
        self.ip("link set uplink up")
        self.ip("link set peer0 up")

    def ip(self, arguments):
        """Not busybox's, which its shell would take."""
        return self.run(f"/usr/sbin/ip {arguments}")


class BenchGuest(HostGuest):
    """Big enough to measure in."""

    modules = (*HostGuest.modules, "ifb")
    programs = (BENCH, PUMP, IP)
    memory = "1G"
    cpus = 2
