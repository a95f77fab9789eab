"""The devices that the kernel under the tests does not have, and those of an older kernel."""

import itertools
import json
import os

import pytest

from conftest import lacking
from host_guest import HostGuest
from lab import open_lab

LAYERS = ("l2", "l3", "l3s")
MODES = ("bridge", "vepa", "private")
ETHERTYPE_OF_ARP = "0806"


@pytest.fixture(scope="module")
def booted(machine):
    for program in HostGuest.programs:
        if not os.path.exists(program):
            lacking(f"{program} is not built")
    with open_lab() as lab, HostGuest(lab, machine, None) as guest:
        guest.wait_booted()
        yield guest


@pytest.fixture
def host(booted):
    yield booted
    for device in devices(booted):  # What a failed test left.
        booted.run(f"tapline delete {device['device']}")


def kernels_view(host, device):
    return json.loads(host.ip(f"-j -d link show {device}"))[0]


def devices(host):
    return json.loads(host.run("tapline list --json"))


@pytest.mark.parametrize("layer, mode", itertools.product(LAYERS, MODES))
def test_ipvtap_is_as_asked_for_and_gone_when_deleted(host, layer, mode):
    assert host.run(f"tapline create --parent uplink --kind ipvtap --layer {layer} "
                    f"--mode {mode}") == "tl0\n"
    link = kernels_view(host, "tl0")
    assert link["linkinfo"]["info_kind"] == "ipvtap"
    assert link["linkinfo"]["info_data"] == {"mode": layer, mode: True}
    assert link["address"] == kernels_view(host, "uplink")["address"]
    [listed] = devices(host)
    assert (listed["kind"], listed["layer"], listed["mode"]) == ("ipvtap", layer, mode)
    host.run("tapline delete tl0")
    assert devices(host) == []


# The kernel would silently change the first one, too.
def test_ipvtap_that_would_change_another_is_refused(host):
    host.run("tapline create --parent uplink --kind ipvtap --mode private")
    for other in ("--mode bridge", "--mode private --layer l3"):
        refusal = host.run(f"tapline create --parent uplink --kind ipvtap {other} 2>&1 || true")
        assert "'tl0' has another mode or layer" in refusal
    assert kernels_view(host, "tl0")["linkinfo"]["info_data"] == {"mode": "l2", "private": True}
    host.run("tapline create --parent uplink --kind ipvtap --mode private")
    host.run("tapline delete tl0 tl1")


# Before Linux 6.2 the kernel does not tell what it made.
def test_macvtap_is_found_by_the_number_it_was_made_with(host):
    assert host.run("tapline create --parent uplink --mac 52:54:00:00:00:09") == "tl0\n"
    link = kernels_view(host, "tl0")
    assert link["linkinfo"]["info_kind"] == "macvtap"
    assert (link["address"], link["group"]) == ("52:54:00:00:00:09", "default")
    assert [each["device"] for each in devices(host)] == ["tl0"]
    host.run("tapline delete tl0")
    assert devices(host) == []


@pytest.mark.parametrize("kind", ["macvtap", "ipvtap"])
def test_queue_gives_the_frames_that_arrive(host, kind):
    # Or a router solicitation may come first.
    host.run("echo 1 > /proc/sys/net/ipv6/conf/peer0/disable_ipv6")
    send = "arping -c 3 -I peer0 198.51.100.9 >/dev/null {fds}>&- &"
    read = "dd bs=2000 count=1 <&{fds} 2>/dev/null | xxd -p"
    frame = host.run(f"tapline exec --parent uplink --kind {kind} -- sh -c '{send} {read}'")
    frame = "".join(frame.split())[24:]  # Behind the virtio header.
    assert frame.startswith("ff" * 6)
    assert frame[24:28] == ETHERTYPE_OF_ARP
    assert devices(host) == []


@pytest.mark.parametrize("kind", ["macvtap", "ipvtap"])
def test_reconcile_removes_what_a_killed_tapline_left(host, kind):
    host.run(f"tapline exec --parent uplink --kind {kind} -- sh -c 'kill -9 $PPID'; true")
    [left] = devices(host)
    assert left["kind"] == kind
    assert left["device"] in host.run("tapline reconcile")
    assert devices(host) == []


def test_multicast_none_is_refused_where_the_kernel_has_no_filters(host):
    host.start("tapline create --parent uplink --multicast none")
    sentence, status = host.finish()
    assert status == 1
    assert sentence.count("\n") == 1
    assert "--multicast joined" in sentence
    assert "tl0" not in host.ip("link")


def test_exec_opens_vhost_net_once_a_queue(host):
    look = "for fd in $(echo {vhostfds} {fds} | tr : \" \"); do readlink /proc/self/fd/$fd; done"
    opened = host.run(f"tapline exec --parent uplink --vhost --queues 2 -- sh -c '{look}'")
    [device] = set(opened.split()[2:])
    assert opened.split()[:2] == ["/dev/vhost-net"] * 2
    assert device.startswith("/dev/tap")


def test_vhost_net_carries_frames_over_the_queues_of_exec(host):
    host.ip("address add 198.51.100.1/24 dev peer0")
    host.run("tapline exec --parent uplink --vhost -- vhost-net-guest {vhostfds} {fds} {mac}")
    host.ip("address flush dev peer0")
    assert devices(host) == []
