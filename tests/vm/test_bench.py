"""tapline bench beside the kernel's vhost-net, which the kernel under the tests does not have."""

import json
import os

import pytest

from conftest import lacking
from guest import MACHINES
from host_guest import BenchGuest
from lab import open_lab

LIMIT_S = 120


@pytest.fixture(scope="module", params=MACHINES[-1:], ids=lambda machine: machine.name)
def machine(request):
    if missing := request.param.missing():
        lacking(f"{missing} is missing; run script/bootstrap")
    return request.param


@pytest.fixture(scope="module")
def host(machine):
    for program in BenchGuest.programs:
        if not os.path.exists(program):
            lacking(f"{program} is not built")
    with open_lab() as lab, BenchGuest(lab, machine, None) as guest:
        guest.wait_booted()
        yield guest


# Under emulation no speed means anything; that frames arrive whole and in order does.
@pytest.mark.parametrize("scenario, way", [("guest-to-wire", "to_wire"),
                                           ("wire-to-guest", "to_guest")])
def test_bench_moves_frames_by_vhost_net_too(host, scenario, way):
    report = json.loads(host.run(f"tapline-bench --scenario {scenario} --baseline loop,vhost-net "
                                 "--rounds 3 --seconds 0.2 --json 2>/dev/null", LIMIT_S))
    engines = {each["engine"]: each[way] for each in report["engines"]}
    assert set(engines) == {"pump", "loop", "vhost-net"}
    for moved in engines.values():
        assert moved["frames_per_s"]["max"] > 0  # A round may fall into a pause of the host.
        assert moved["looked_at"] > 0
        assert (moved["damaged"], moved["reordered"]) == (0, 0)
