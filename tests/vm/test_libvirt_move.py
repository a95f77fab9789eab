"""Domains that are saved and restored, or move to a host whose interfaces have other names."""

import pytest

import traffic
from conftest import LAB, need
from lab import IPV4_LENGTH, PARENT, PEER_IPV4, PEER_LINK, new_namespace, open_lab
from libvirt_cards import CARDS, DIRECT, HANDOFF, PUMP
from libvirt_guest import MACHINE, LibvirtGuest, define, domain_xml, start
from libvirt_host import TAPLINE, LibvirtHost

NAME = "guest"
OTHER_PARENT = "lan0"
SETTINGS = "/etc/tapline/tapline.conf"
DATA_MIB = 4


@pytest.fixture(scope="module")
def hosts():
    """Two, on one wire."""
    need(MACHINE)
    with open_lab() as lab, new_namespace(f"{lab.host.name}2") as other:
        make_bridge(lab, other)
        with LibvirtHost(lab, lab.host, "source") as source, \
                LibvirtHost(lab, other, "target") as target:
            for host in (source, target):
                host.run(TAPLINE, "hook", "install")
                host.start_libvirtd()
            yield source, target


@pytest.fixture(autouse=True)
def logs(request, hosts):
    request.node.stash[LAB] = hosts[0].lab


@pytest.fixture(autouse=True)
def nothing_left(hosts):
    before = [host.trace() for host in hosts]
    yield
    for host in hosts:
        host.run("rm", "-f", SETTINGS)
        if host.virsh("list", "--name").split():
            host.virsh("destroy", NAME)
    assert [host.trace() for host in hosts] == before


def make_bridge(lab, other):
    """In the peer's namespace, with a port for each host."""
    lab.peer.ip("link", "add", "br0", "type", "bridge")
    lab.peer.ip("address", "flush", "dev", PEER_LINK)
    lab.peer.ip("address", "add", f"{PEER_IPV4}/{IPV4_LENGTH}", "dev", "br0")
    lab.peer.ip("link", "add", "peer1", "type", "veth", "peer", "name", OTHER_PARENT,
                "netns", other.name)
    for port in (PEER_LINK, "peer1"):
        lab.peer.ip("link", "set", port, "master", "br0", "up")
    lab.peer.ip("link", "set", "br0", "up")
    other.ip("link", "set", OTHER_PARENT, "up")


def assert_data_passes(host, guest):
    """Over each card in turn, the only one then that is up."""
    links = [f"eth{number}" for number in range(len(CARDS))]
    for link in links:
        for other in links:
            guest.run(f"ip link set {other} down && ip address flush dev {other}")
        guest.set_up_network(link)
        assert traffic.ping(guest, PEER_IPV4, count=3).received, link
        for transfer in traffic.exchange(host.lab, guest, DATA_MIB):
            assert transfer.intact, link


def test_domain_is_saved_and_restored_on_a_parent_of_another_name(hosts):
    host, _ = hosts
    without = host.trace()
    define(host, domain_xml(host.lab, NAME, CARDS))
    with start(host, NAME):
        host.virsh("managedsave", NAME)
    assert host.trace() == without
    host.namespace.ip("link", "set", PARENT, "name", "moved0")
    host.write(SETTINGS, f"[migrate]\n{PARENT} = moved0\n")
    try:
        host.virsh("start", NAME)
        with LibvirtGuest(host, NAME) as guest:
            assert_data_passes(host, guest)
        host.virsh("destroy", NAME)
    finally:
        host.namespace.ip("link", "set", "moved0", "name", PARENT)


def test_domain_moves_to_a_host_with_another_parent(hosts, record_property):
    source, target = hosts
    target.write(SETTINGS, f"[migrate]\n{PARENT} = {OTHER_PARENT}\n")
    define(source, domain_xml(source.lab, NAME, [PUMP, HANDOFF, DIRECT]))
    with start(source, NAME), traffic.pinged(source.lab, record_property, "guest moved"):
        source.virsh("migrate", "--live", NAME, target.uri(), "--migrateuri",
                     f"unix://{source.lab.path('migration')}")
        with LibvirtGuest(target, NAME) as guest:
            assert traffic.ping(guest, PEER_IPV4, count=3).received
    assert source.virsh("domstate", NAME).strip() == "shut off"
    with LibvirtGuest(target, NAME) as guest:
        assert_data_passes(target, guest)
        target.virsh("destroy", NAME)
