"""Which devices the express lane is for, among those that the kernel under the tests lacks."""

import json
import os
import shutil

import pytest

from conftest import lacking
from guest import CHECKOUT, MACHINES
from host_guest import HostGuest
from lab import open_lab

PUMP = f"{CHECKOUT}/build/release/iouring/tapline-pump"

# Of the installed machine the guest's kernel is too old for the pump.
pytestmark = pytest.mark.parametrize("machine", [MACHINES[-1]], indirect=True,
                                     ids=lambda machine: machine.name)


class PumpHost(HostGuest):
    modules = (*HostGuest.modules, "8021q")
    programs = (*HostGuest.programs, PUMP, shutil.which("ethtool"))


@pytest.fixture(scope="module")
def host(machine):
    if not os.path.exists(PUMP):
        lacking(f"{PUMP} is not built")
    with open_lab() as lab, PumpHost(lab, machine, None) as guest:
        guest.wait_booted()
        yield guest


def listening(host, arguments):
    """What the pump says when it begins to listen."""
    return json.loads(host.run(
        f"timeout 5 tapline-pump --socket-path /run/pump.sock --json-status "
        f"--express-lane auto {arguments} 2>/dev/null | head -n 1"))


def test_macvtap_on_ethernet_has_one(host):
    assert listening(host, "--parent uplink")["express_lane"] is True


def test_ipvtap_has_none(host):
    told = listening(host, "--parent uplink --kind ipvtap")
    assert told["express_lane"] is False
    assert "no macvtap" in told["express_lane_refusal"]


# Without offload the tag is part of the header that the VLAN device makes room for.
@pytest.mark.parametrize("offload", ["on", "off"])
def test_macvtap_on_a_vlan_has_one_if_its_header_is_that_of_ethernet(host, offload):
    host.run(f"ethtool -K uplink txvlan {offload}")
    host.ip("link add link uplink name vlan5 type vlan id 5")
    host.ip("link set vlan5 up")
    told = listening(host, "--parent vlan5")
    host.ip("link delete vlan5")
    assert told["express_lane"] is (offload == "on")
    if offload == "off":
        assert "more than an Ethernet header" in told["express_lane_refusal"]
