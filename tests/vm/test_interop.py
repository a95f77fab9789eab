"""The network cards and drivers that the pump gets along with: a guest for each card."""

import contextlib
import dataclasses
from concurrent import futures

import pytest

import traffic
from card import Card, CardGuest
from conftest import LAB, need
from guest import MACHINES
from iperf import Server
from lab import GUEST_IPV4, GUEST_IPV6, PARENT, PEER_IPV4, PEER_IPV6, PEER_LINK, Lab, open_lab
from process import Child, Deadline, run
from pump import Pump

INSTALLED, BACKPORTS = MACHINES
NO_OFFLOADS = tuple(f"{name}=off" for name in (
    "csum", "gso", "host_tso4", "host_tso6", "host_ecn", "host_ufo",
    "guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo"))

CARDS = (
    Card(INSTALLED, 4, "split"),
    Card(BACKPORTS, 4, "packed"),
    Card(INSTALLED, 1, "split"),
    Card(INSTALLED, 4, "packed"),
    Card(INSTALLED, 1, "packed"),
    Card(INSTALLED, 1, "split", ("mrg_rxbuf=off", "rx_queue_size=1024")),
    Card(INSTALLED, 1, "packed", ("event_idx=off", "tx_queue_size=1024")),
    Card(INSTALLED, 1, "packed", NO_OFFLOADS, "no-offloads"),
    Card(BACKPORTS, 1, "split"),
    Card(BACKPORTS, 4, "split"),
    Card(BACKPORTS, 1, "packed"),
    Card(BACKPORTS, 1, "packed", ("mrg_rxbuf=off",)),
    Card(BACKPORTS, 1, "split", ("event_idx=off", "rx_queue_size=512")),
    Card(BACKPORTS, 1, "split", ("indirect_desc=off", "in_order=on")),
    Card(BACKPORTS, 1, "packed", ("indirect_desc=off", "in_order=on", "rx_queue_size=1024")),
    Card(BACKPORTS, 1, "split", NO_OFFLOADS, "no-offloads"),
)
# From the first on, as pytest brings together the tests of a card by its place in the list.
THOROUGHLY_TESTED = CARDS[:2]

TRANSFER_MIB = 2
UDP_SOCKET_BYTES = 4 << 20
AGAIN_LIMIT_S = 20
BETWEEN_PAUSES_S = 0.1
# `rx` cannot be switched: the driver has it whenever the card has it.
OFFLOADS = ("tx", "sg", "tso", "gso", "gro", "rx-gro-hw")
JUMBO_MTU = 9000
GUEST_GROUP, PEER_GROUP = "239.1.2.3", "239.1.2.4"


@dataclasses.dataclass
class Network:
    card: Card
    lab: Lab
    pump: Pump
    device: str
    server: Server
    guest: CardGuest
    features: set


@pytest.fixture(scope="module", params=CARDS, ids=str)
def network(request):
    card = request.param
    need(card.machine)
    with open_lab() as lab, Pump(lab, "--queues", str(card.queue_pairs)) as pump, \
            Server(lab) as server:
        listening = pump.wait_for("listening")
        with CardGuest(lab, card, listening) as guest:
            guest.wait_booted()
            guest.run(f"echo {UDP_SOCKET_BYTES} > /proc/sys/net/core/rmem_default")
            running = wait_for_queue_pairs(pump, card.queue_pairs)
            yield Network(card, lab, pump, listening["device"], server, guest,
                          set(running["features"]))


@pytest.fixture(autouse=True)
def logs(request, network):
    request.node.stash[LAB] = network.lab


thoroughly = pytest.mark.parametrize("network", THOROUGHLY_TESTED, ids=str, indirect=True)
both_directions = pytest.mark.parametrize("direction", ["", "--reverse"],
                                          ids=["to-peer", "from-peer"])


def wait_for_queue_pairs(pump, count):
    while True:
        running = pump.wait_for("running")
        if running["queue_pairs"] == count:
            return running


def assert_data_passes(network):
    for transfer in (traffic.send, traffic.fetch):
        assert transfer(network.lab, network.guest, TRANSFER_MIB).intact


def assert_peer_answers(network):
    """Soon: the first frames find a card that is only being set up."""
    deadline = Deadline(AGAIN_LIMIT_S)
    while not traffic.ping(network.guest, PEER_IPV4, count=1).received:
        assert deadline.left_s()


def ping_from_peer(network, address, *options):
    """Fails if nobody answers."""
    run(*network.lab.peer.command("ping", "-c", "3", "-i", "0.2", "-I", PEER_LINK, *options,
                                  address))


def test_driver_takes_what_the_card_has(network):
    taken, left = network.card.expected_features()
    assert taken <= network.features
    assert not left & network.features


@pytest.mark.parametrize("address", [PEER_IPV4, PEER_IPV6], ids=["ipv4", "ipv6"])
def test_no_ping_is_lost(network, address):
    assert traffic.ping(network.guest, address, count=3).loss_percent == 0


@pytest.mark.parametrize("transfer", [traffic.send, traffic.fetch])
def test_bulk_data_arrives_as_it_was_sent(network, transfer):
    assert transfer(network.lab, network.guest, TRANSFER_MIB).intact


@both_directions
@pytest.mark.parametrize("address", [PEER_IPV4, PEER_IPV6], ids=["ipv4", "ipv6"])
def test_iperf3_over_tcp(network, address, direction):
    end = network.server.measure(network.guest, address,
                                 f"--bytes 16M --parallel {network.card.queue_pairs} {direction}")
    assert end["sum_received"]["bytes"] > 0


# No more bytes than the socket holds that receives them: however late its reader runs, what is lost
# was lost before it. The peer's socket cannot be made larger within its namespace.
@pytest.mark.parametrize("options", ["--bytes 56K", "--bytes 700K --reverse"],
                         ids=["to-peer", "from-peer"])
def test_iperf3_over_udp(network, options):
    end = network.server.measure(network.guest, PEER_IPV6,
                                 f"--udp --length 1400 --bitrate 20M {options}")
    assert end["sum"]["packets"] > 0
    assert end["sum"]["lost_packets"] == 0


@thoroughly
@pytest.mark.parametrize("offload", OFFLOADS)
def test_offload_is_switched_off_and_on(network, offload):
    before = network.guest.run("ethtool -k eth0")
    with network.guest.without(offload):
        assert network.guest.run("ethtool -k eth0") != before
        assert_data_passes(network)
    assert_data_passes(network)


@thoroughly
def test_jumbo_frames_pass(network):
    # Without segmentation each packet is a frame of its own.
    with network.guest.without("tso", "gso"), mtu(network, JUMBO_MTU):
        ping_from_peer(network, GUEST_IPV6, "-s", str(JUMBO_MTU - 100))
        assert_data_passes(network)
    assert_data_passes(network)


@contextlib.contextmanager
def mtu(network, size):
    def set_to(size):
        network.lab.host.ip("link", "set", PARENT, "mtu", str(size))
        network.lab.host.ip("link", "set", network.device, "mtu", str(size))
        network.lab.peer.ip("link", "set", PEER_LINK, "mtu", str(size))
        network.guest.ip(f"link set eth0 mtu {size}")

    before = network.guest.run("cat /sys/class/net/eth0/mtu").strip()
    set_to(size)
    try:
        yield
    finally:
        set_to(before)


@thoroughly
def test_multicast_passes(network):
    answer = "net.ipv4.icmp_echo_ignore_broadcasts=0"
    network.guest.run(f"sysctl -w {answer}")
    run(*network.lab.peer.command("sysctl", "-w", answer))
    network.guest.ip(f"address add {GUEST_GROUP}/32 dev eth0 autojoin")
    network.lab.peer.ip("address", "add", f"{PEER_GROUP}/32", "dev", PEER_LINK, "autojoin")
    ping_from_peer(network, GUEST_GROUP)
    assert traffic.ping(network.guest, f"-I eth0 {PEER_GROUP}", count=3).loss_percent == 0


# Each asks for the other in a group that this one has joined.
@thoroughly
def test_ipv6_neighbours_find_each_other(network):
    for ask in (lambda: ping_from_peer(network, GUEST_IPV6),
                lambda: traffic.ping(network.guest, PEER_IPV6, count=1)):
        network.lab.peer.ip("neighbour", "flush", "dev", PEER_LINK)
        network.guest.ip("neighbour flush dev eth0")
        ask()


@thoroughly
def test_number_of_queues_changes_at_run_time(network):
    for count in (1, 3, network.card.queue_pairs):
        network.guest.run(f"ethtool -L eth0 combined {count}")
        wait_for_queue_pairs(network.pump, count)
        assert_data_passes(network)


# QEMU would not tell us: the driver must not be able to.
@thoroughly
def test_machine_is_paused_under_load(network):
    with futures.ThreadPoolExecutor() as pool:
        passing = pool.submit(assert_data_passes, network)
        while not passing.done():
            network.guest.order("stop")
            wait_for_queue_pairs(network.pump, 0)
            network.guest.order("cont")
            wait_for_queue_pairs(network.pump, network.card.queue_pairs)
            futures.wait([passing], timeout=BETWEEN_PAUSES_S)
    passing.result()


@thoroughly
def test_driver_is_stopped_and_started_under_load(network):
    driver = "/sys/bus/virtio/drivers/virtio_net"
    with load(network):
        network.guest.run("ip address flush dev eth0; ip link set eth0 down")
        network.guest.set_up_network()
        assert_peer_answers(network)
        network.guest.run(f"echo virtio0 > {driver}/unbind; echo virtio0 > {driver}/bind")
        network.guest.set_up_network()
        assert_peer_answers(network)
    assert_data_passes(network)


@thoroughly
def test_machine_is_reset_under_load(network):
    with load(network):
        network.guest.reset()
        assert_peer_answers(network)
    assert_data_passes(network)


@contextlib.contextmanager
def load(network):
    """Frames for the guest, and its answers. As many as there can be would leave its only
    processor, which is emulated, no time for what the test runs there."""
    flood = network.lab.peer.command("ping", "-i", "0.002", "-q", "-s", "1400", GUEST_IPV4)
    with Child(flood, network.lab.path("flood.log")):
        yield


@thoroughly
def test_data_passes_after_an_attempt_to_resize_rings(network):
    network.guest.run("! ethtool -G eth0 rx 64 tx 64")
    assert_data_passes(network)


# The last of each guest.
def test_guest_leaves_no_fault_behind(network):
    network.guest.end()
    counters = network.pump.wait_for("disconnected")["counters"]
    assert counters["protocol_errors"] == {}
    for direction in ("guest_to_wire", "wire_to_guest"):
        assert counters[direction]["ring_faults"] == {}
    assert counters["wire_to_guest"]["dropped"] == {}
    # Linux goes on to fill a queue for a moment after it had the card disable it.
    assert counters["guest_to_wire"]["dropped"].keys() <= {"disabled"}
