"""What every test here starts from: a machine, a lab, a pump in it, a guest behind the pump."""

import os

import pytest

from guest import MACHINES, Guest
from lab import open_lab
from process import unwind_on_signals
from pump import PROGRAM, Pump

LAB = pytest.StashKey()


def lacking(reason):
    """Where tests are meant to run, what they need must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_root():
    if os.geteuid() != 0:
        lacking("network namespaces and devices take root")


def need(machine):
    need_root()
    if not os.path.exists(PROGRAM):
        lacking(f"{PROGRAM} is not built")
    if missing := machine.missing():
        lacking(f"{missing} is missing; run script/bootstrap")


@pytest.fixture(scope="module", params=MACHINES, ids=lambda machine: machine.name)
def machine(request):
    need(request.param)
    return request.param


@pytest.fixture
def lab(request, machine):
    with open_lab() as lab:
        request.node.stash[LAB] = lab
        yield lab


@pytest.fixture
def pump(lab):
    with Pump(lab) as pump:
        yield pump


@pytest.fixture
def listening(pump):
    return pump.wait_for("listening")


@pytest.fixture
def guest(lab, machine, listening):
    with Guest(lab, machine, listening) as guest:
        guest.wait_booted()
        yield guest


@pytest.fixture
def running(pump, guest):
    return pump.wait_for("running")


def pytest_configure():
    unwind_on_signals()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    lab = item.stash.get(LAB, None)
    if report.failed and report.when != "teardown" and lab:
        report.sections += lab.logs().items()
