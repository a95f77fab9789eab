"""The hook alone, called as libvirt would."""

import json
import re

import pytest

from conftest import LAB, need_root
from lab import PARENT, open_lab
from libvirt_cards import DIRECT, HANDOFF, PUMP, domain_text
from libvirt_host import HOOK, TAPLINE, LibvirtHost
from process import Deadline, Failure

LIMIT_S = 15
DOMAIN = domain_text("guest", (HANDOFF, PUMP.with_queues(2)))
FOREIGN = "<domain><name>other</name><interface type='network'/> this is no XML"
OPERATIONS = ("prepare", "start", "started", "stopped", "release", "reconnect", "attach", "migrate",
              "restore")


@pytest.fixture(scope="module")
def host():
    need_root()
    with open_lab() as lab, LibvirtHost(lab) as host:
        yield host


@pytest.fixture(autouse=True)
def logs(request, host):
    request.node.stash[LAB] = host.lab


@pytest.fixture(autouse=True)
def nothing(host):
    """What is there without the domain, before and after each test."""
    before = host.trace()
    yield before
    host.hook("guest", "release", DOMAIN)
    assert host.trace() == before


@pytest.fixture
def everything(host, nothing):
    """What is there with it."""
    host.hook("guest", "prepare", DOMAIN)
    trace = host.trace()
    host.hook("guest", "release", DOMAIN)
    assert len(trace) > len(nothing)
    return trace


def wait_for(host, trace):
    deadline = Deadline(LIMIT_S)
    while (now := host.trace()) != trace:
        assert deadline.left_s(), f"{now} instead of {trace}"


def test_killed_pump_is_started_again(host, everything):
    host.hook("guest", "prepare", DOMAIN)
    killed = host.pids("/tapline-pump ")
    host.kill("/tapline-pump ")
    deadline = Deadline(LIMIT_S)
    while host.pids("/tapline-pump ") in (killed, []):
        assert deadline.left_s()
    assert host.trace() == everything


def test_reconnect_starts_a_dead_pump(host, everything):
    host.hook("guest", "prepare", DOMAIN)
    host.kill("/tapline-hook keep-pump")
    deadline = Deadline(LIMIT_S)
    while host.pids("/tapline-pump "):
        assert deadline.left_s()
    host.hook("guest", "reconnect", DOMAIN)
    assert host.trace() == everything


@pytest.mark.parametrize("card", [HANDOFF, PUMP], ids=str)
@pytest.mark.parametrize("operation", ["prepare", "reconnect"])
def test_deleted_device_is_made_again(host, everything, card, operation):
    host.hook("guest", "prepare", DOMAIN)
    host.namespace.ip("link", "delete", f"tl{card.digits}")
    host.hook("guest", operation, DOMAIN)
    wait_for(host, everything)


def test_reconnect_does_not_fail_a_guest(host):
    assert host.hook("guest", "reconnect", DOMAIN.replace(PARENT, "nosuch0")) == ""
    assert host.hook("guest", "reconnect", DOMAIN.replace("bridge", "colour")) == ""


def test_prepare_replaces_what_another_definition_made(host):
    host.hook("guest", "prepare", DOMAIN)
    host.hook("guest", "prepare", domain_text("guest", (HANDOFF,)))
    assert not host.pids("/tapline-pump ")
    assert f"tl{PUMP.digits}" not in host.namespace.links()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_foreign_domain_is_not_even_parsed(host, nothing, operation):
    assert host.hook("other", operation, FOREIGN) == ""
    assert host.trace() == nothing


def test_pump_that_refuses_is_told_by_its_own_words(host):
    limited = domain_text("guest", (PUMP,)).replace("mode='server'", "mode='client'")
    with pytest.raises(Failure, match="QEMU does not listen on its socket"):
        host.hook("guest", "prepare", limited)


@pytest.fixture
def settings(host):
    def write(text):
        host.write("/etc/tapline/tapline.conf", text)
    yield write
    host.run("rm", "-f", "/etc/tapline/tapline.conf")


@pytest.mark.parametrize("operation", ["migrate", "restore"])
def test_parents_are_renamed_and_nothing_else(host, settings, operation):
    domain = domain_text("guest", (DIRECT, HANDOFF, PUMP, PUMP.on("lan"))).replace(
        "<devices>", f"<devices  a = '1'><!-- parent='{PARENT}' -->\n")
    assert host.hook("guest", operation, domain) == ""
    settings(f"[migrate]\n{PARENT} = a&b\nlan={PARENT}\n")
    expected = domain.replace(f"dev='{PARENT}'", "dev='a&amp;b'").replace(
        f"parent='{PARENT}' mode", "parent='a&amp;b' mode").replace(
        "parent='lan'", f"parent='{PARENT}'")
    assert host.hook("guest", operation, domain) == expected


@pytest.mark.parametrize("text, cause", [
    ("[migrate]\nlan = a/b\n", r"line 2: \[migrate\] lan: its value names no interface: .*'a/b'"),
    ("[migrate]\n\neth0 =\n", r"line 3: \[migrate\] eth0: its value .* 1 to 15 characters"),
    ("[migrate]\neth0[de] = wire0\n", r"line 2: \[migrate\] eth0\[de\]: its name .* bracket"),
    ("[migrate]\neth0 = 'wire0'\n", "line 2: .* holds a quote"),
    ("[migrate]\na = b\na = c\n", r"line 3: \[migrate\] has key 'a' twice"),
    ("[migrate]\nwire0\n", "line 2: 'wire0' is neither"),
    ("[migrated]\nlan = eth0\n", r"line 1: there is no group \[migrated\]"),
    ("lan = eth0\n", "line 1: key 'lan' is in no group"),
    ("[migrate]\nlan = \033[31m\n", "line 2: it is no text"),
    ("\0" * 10, "line 1: it is no text"),
    ("\0" * 2000000, "longer than 65536 bytes")], ids=range(11))
def test_bad_settings_are_refused(host, settings, text, cause):
    settings(text)
    with pytest.raises(Failure, match=rf"read /etc/tapline/tapline.conf.*{cause}.*tapline-hook\(1"):
        host.hook("guest", "migrate", DOMAIN)


@pytest.mark.parametrize("make, cause", [
    ("mkfifo $0", "no plain file"), ("mkdir $0", "no plain file"),
    ("ln -s /nowhere $0", "a link to what is not there"),
    ("ln -s /sys/class/net/lo/speed $0", "Invalid argument"),
    (r"printf '[migrate]\nlan = \377\376\n' >$0", "line 2: it is no text in UTF-8")],
    ids=["fifo", "folder", "link", "unreadable", "bytes"])
def test_damaged_settings_are_refused(host, make, cause):
    path = "/etc/tapline/tapline.conf"
    host.run("sh", "-c", make, path)
    try:
        with pytest.raises(Failure, match=rf"read {path}.*{cause}.*\("):
            host.hook("guest", "migrate", DOMAIN)
    finally:
        host.run("rm", "-r", path)


def test_settings_may_lie_behind_a_link(host, settings):
    settings("")
    host.write("/run/settings", f"# Ours\n[migrate]\n\n{PARENT} = lan\n")
    host.run("ln", "-sf", "/run/settings", "/etc/tapline/tapline.conf")
    assert "parent='lan'" in host.hook("guest", "migrate", DOMAIN)


@pytest.mark.parametrize("redirection, cause", [
    ("</etc", "Is a directory"), ("<&-", "it is empty"),
    ("</run/noise", "it holds no <domain>"), ("</dev/zero", "it is longer than")])
@pytest.mark.parametrize("operation", ["prepare", "migrate", "restore", "release", "reconnect"])
def test_input_that_is_no_domain_is_told(host, operation, redirection, cause):
    host.run("sh", "-c", "head -c 3000000 /dev/urandom >/run/noise")
    command = f"{HOOK} guest {operation} begin - {redirection} 2>&1"
    said = f"read the XML of domain 'guest' from standard input: {cause}.*virsh dumpxml"
    if operation == "reconnect":  # libvirt would end a domain that is well.
        assert re.search(said, host.run("sh", "-c", command))
    else:
        with pytest.raises(Failure, match=said):
            host.run("sh", "-c", command)


def test_domain_that_is_too_long_is_not_taken_for_a_foreign_one(host):
    padded = DOMAIN.replace("<name>", f"<!--{' ' * 3000000}--><name>", 1)
    with pytest.raises(Failure, match="longer than 1048576 bytes"):
        host.hook("guest", "prepare", padded)
    assert host.hook("other", "prepare", FOREIGN + " " * 3000000) == ""


@pytest.mark.parametrize("operation", ["prepare", "release"])
def test_domain_without_uuid_is_told(host, operation):
    with pytest.raises(Failure, match="domain 'guest' .* no <uuid>.*virsh dumpxml"):
        host.hook("guest", operation, re.sub("<uuid>.*</uuid>", "", DOMAIN))


SYSTEMCTL = """#!/bin/sh
echo "$*" >>/run/systemctl.log
for unit; do :; done
device=${unit#tapline-pump@}
device=${device%.service}
case $1 in
start)
    [ ! -e /run/broken ] || { echo "Job for $unit failed." >&2; exit 1; }
    [ ! -e /run/$device.pid ] || exit 0
    setsid LIBEXEC/tapline-pump $(sed s/^OPTIONS=// /run/tapline/pumps/$device.options) \
        </dev/null >/dev/null 2>&1 &
    echo $! >/run/$device.pid
    ;;
stop)
    [ -e /run/$device.pid ] || exit 0
    kill $(cat /run/$device.pid) && timeout 10 tail --pid=$(cat /run/$device.pid) -f /dev/null
    rm /run/$device.pid
    ;;
show)
    cat /run/$device.pid 2>/dev/null || echo 0
    ;;
esac
"""


@pytest.fixture
def systemd(host):
    """What there is of it for the hook."""
    host.run("rm", "-f", "/run/systemctl.log")
    host.write("/usr/local/bin/systemctl", SYSTEMCTL.replace("LIBEXEC", HOOK.rpartition("/")[0]),
               0o755)
    host.run("mkdir", "-p", "/run/systemd/system")
    yield
    host.hook("guest", "release", DOMAIN)
    host.run("rm", "-rf", "/run/systemd", "/run/broken", "/usr/local/bin/systemctl")


def test_pump_is_a_unit_where_systemd_runs(host, nothing, systemd):
    for operation in ("prepare", "prepare", "reconnect", "release", "release"):
        host.hook("guest", operation, DOMAIN)
    assert host.trace() == nothing
    unit = f"tapline-pump@tl{PUMP.digits}.service"
    calls = host.run("cat", "/run/systemctl.log").splitlines()
    assert calls == [f"start {unit}"] * 3 + [f"stop {unit}"]


def test_unit_that_does_not_start_is_told(host, systemd):
    host.run("touch", "/run/broken")
    with pytest.raises(Failure, match=rf"start the pump of 'tl{PUMP.digits}': Job for .* failed"):
        host.hook("guest", "prepare", DOMAIN)
    unit = f"tapline-pump@tl{PUMP.digits}.service"
    assert f"reset-failed {unit}" in host.run("cat", "/run/systemctl.log").splitlines()


def test_failed_start_leaves_a_running_pump_its_options(host, nothing, systemd):
    host.hook("guest", "prepare", DOMAIN)
    before = host.trace()
    host.run("touch", "/run/broken")
    host.hook("guest", "reconnect", DOMAIN)
    assert host.trace() == before


def test_installed_hook_is_told_of_and_goes(host):
    path = "/etc/libvirt/hooks/qemu.d/tapline"
    assert host.run("tapline", "hook", "install").startswith(f"{path}: installed")
    assert host.run("tapline", "hook", "install").startswith(f"{path}: was installed")
    assert host.run("tapline", "hook", "status").startswith(f"{path}: installed")
    host.run("ln", "-sfn", "/nosuch/tapline-hook", path)  # Of a version that lay elsewhere.
    with pytest.raises(Failure, match=f"{path}: it leads to no program .tapline hook install"):
        host.run("tapline", "hook", "status")
    told = host.run("sh", "-c", "tapline hook status --json || test $? = 1")
    assert (json.loads(told)["path"], json.loads(told)["is_program"]) == (path, False)
    host.run("tapline", "hook", "install")
    assert host.run("tapline", "hook", "status").startswith(f"{path}: installed")
    host.run("tapline", "hook", "uninstall")
    assert host.run("tapline", "hook", "uninstall") == "not installed\n"
    with pytest.raises(Failure, match="not installed"):
        host.run("tapline", "hook", "status")


def test_foreign_hook_is_left(host):
    host.run("mkdir", "-p", "/etc/libvirt/hooks/qemu.d")
    host.write("/etc/libvirt/hooks/qemu.d/tapline", "#!/bin/sh\n", 0o755)
    with pytest.raises(Failure, match="another program has this place"):
        host.run("tapline", "hook", "install")
    host.run("tapline", "hook", "uninstall")
    assert host.run("cat", "/etc/libvirt/hooks/qemu.d/tapline") == "#!/bin/sh\n"
    host.run("rm", "/etc/libvirt/hooks/qemu.d/tapline")


@pytest.mark.parametrize("place, make, cause", [
    ("qemu.d/tapline", "ln -s /nowhere", "it is a link to /nowhere, which is not there"),
    ("qemu.d/tapline", "mkdir", "it is a folder"),
    ("qemu.d", "touch", "/etc/libvirt/hooks/qemu.d is no folder")])
def test_what_is_in_the_place_of_the_hook_is_told(host, place, make, cause):
    path = f"/etc/libvirt/hooks/{place}"
    host.run("sh", "-c", f"rm -rf /etc/libvirt/hooks/qemu.d; mkdir -p $(dirname {path}); "
                         f"{make} {path}")
    with pytest.raises(Failure, match=f"{cause} .as root: "):
        host.run("tapline", "hook", "install")
    host.run("rm", "-r", path)
