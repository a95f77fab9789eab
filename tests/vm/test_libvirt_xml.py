"""libvirtd takes the domains that `tapline xml` converts, and our examples, and keeps all of it."""

import glob
import json
import os
import re

import pytest

from conftest import LAB, need
from lab import open_lab
from libvirt_guest import MACHINE
from libvirt_host import TAPLINE, LibvirtHost
from unpacked import CHECKOUT

EXAMPLES = sorted(glob.glob(f"{CHECKOUT}/xml/examples/*.xml"))
DOMAIN = f"{CHECKOUT}/tests/domains/several-interfaces.xml"


@pytest.fixture(scope="module")
def host():
    need(MACHINE)
    with open_lab() as lab, LibvirtHost(lab) as host:
        host.start_libvirtd()
        yield host


@pytest.fixture(autouse=True)
def logs(request, host):
    request.node.stash[LAB] = host.lab


def text_of(path):
    """Of a domain that this machine can have: without KVM, with the QEMU there is."""
    with open(path) as file:
        text = re.sub(r"\s*<emulator>.*</emulator>", "", file.read())
    return text.replace("<domain type='kvm'", "<domain type='qemu'").replace(
        "<devices>", f"<devices><emulator>{MACHINE.qemu}</emulator>", 1)


def tapline_xml(host, text, *arguments):
    path = host.lab.path("input.xml")
    with open(path, "w") as file:
        file.write(text)
    return host.run(TAPLINE, "xml", *arguments, path)


def shown(host, text):
    domain = json.loads(tapline_xml(host, text, "show", "--json"))
    for interface in domain["interfaces"]:
        del interface["line"]
    return domain


def through_libvirt(host, text):
    """What libvirt makes of the text."""
    path = host.lab.path("domain.xml")
    with open(path, "w") as file:
        file.write(text)
    name = re.search("<name>(.*)</name>", text)[1]
    return host.virsh(f"define --validate {path}; dumpxml --inactive {name}; undefine {name}")


@pytest.mark.parametrize("path", EXAMPLES, ids=os.path.basename)
def test_example_says_the_same_after_libvirt_has_read_it(host, path):
    text = text_of(path)
    said = shown(host, through_libvirt(host, text))
    assert said.pop("uuid")
    assert said == {key: value for key, value in shown(host, text).items() if key != "uuid"}


@pytest.mark.parametrize("form", ["pump", "handoff"])
def test_converted_domain_comes_back_through_libvirt(host, form):
    text = through_libvirt(host, text_of(DOMAIN))
    converted = through_libvirt(host, tapline_xml(host, text, "convert", f"--to={form}"))
    assert "urn:tapline:domain:1" in converted
    assert "type='direct'" not in converted
    # libvirt chooses the quotes in metadata.
    back = tapline_xml(host, converted, "convert", "--to=direct")
    assert through_libvirt(host, back) == text
