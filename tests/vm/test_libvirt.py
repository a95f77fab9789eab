"""libvirt starts guests on Tapline's cards, and the hook does what they need."""

import pytest

import traffic
from conftest import LAB, need
from lab import PARENT, PEER_IPV4, open_lab
from libvirt_guest import MACHINE, define, domain_xml, start
from libvirt_host import LibvirtHost

DATA_MIB = 64

DIRECT = f"""<interface type='direct'>
  <source dev='{PARENT}' mode='bridge'/>
  <model type='virtio'/>
  <driver name='qemu' queues='{{queues}}'/>
  <rom enabled='no'/>
</interface>"""


@pytest.fixture(scope="module")
def host():
    need(MACHINE)
    with open_lab() as lab, LibvirtHost(lab) as host:
        host.start_libvirtd()
        yield host


@pytest.fixture(autouse=True)
def logs(request, host):
    request.node.stash[LAB] = host.lab


def assert_data_passes(host, guest, mebibytes):
    assert traffic.ping(guest, PEER_IPV4, count=3).loss_percent == 0
    assert traffic.send(host.lab, guest, mebibytes).intact
    assert traffic.fetch(host.lab, guest, mebibytes).intact


@pytest.mark.parametrize("queues", [1, 4])
def test_domain_runs_and_leaves_nothing(host, queues):
    links = host.namespace.links()
    define(host, domain_xml(host.lab, "guest", DIRECT.format(queues=queues)))
    with start(host, "guest") as guest:
        guest.run(f"ethtool -L eth0 combined {queues}")  # The driver begins with one a processor.
        assert_data_passes(host, guest, DATA_MIB)
        host.virsh("destroy", "guest")
    assert host.namespace.links() == links
