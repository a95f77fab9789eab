"""A domain of libvirt, whose guest runs commands as those do that the tests start by themselves."""

import os
import shutil
import socket

import initramfs
from guest import KERNEL_OPTIONS, MACHINES, Shell
from lab import Lab
from libvirt_cards import SHARED_MEMORY, domain_uuid, metadata_of
from process import Listener
from unpacked import IPERF3

MEMORY_MIB = 256
CONNECT_LIMIT_S = 15
# With this one MSI-X works on vhost-user cards.
MACHINE = MACHINES[1]
MODULES = ("virtio_pci", "virtio_net")
PROGRAMS = (IPERF3, shutil.which("ethtool"), shutil.which("ip"))
# Out of the lab's folder, which hosts share: each host has a domain of that name.
SHELL = "/var/lib/libvirt/shell-{name}.sock"

DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  {metadata}
  <memory unit='MiB'>{memory_mib}</memory>
  {memory_backing}
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{kernel_options}</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    <controller type='pci' model='pcie-root'/>
    {spare_ports}
    {interfaces}
    <serial type='file'><source path='{console}'/></serial>
    <serial type='unix'><source mode='bind' path='{shell}'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""
# To plug cards into.
SPARE_PORTS = "<controller type='pci' model='pcie-root-port'/>" * 4


def domain_xml(lab: Lab, name, cards, memory_backing=SHARED_MEMORY, machine=MACHINE):
    """Of a domain that boots what the other guests do."""
    kernel = initramfs.Kernel(machine.kernel_root)
    archive = lab.path("initramfs")
    if not os.path.exists(archive):
        initramfs.build(kernel, archive, MODULES, PROGRAMS)
        shutil.copy(kernel.image, lab.path("kernel"))
    return DOMAIN.format(
        name=name, uuid=domain_uuid(name), metadata=metadata_of(cards), memory_mib=MEMORY_MIB,
        memory_backing=memory_backing, kernel=lab.path("kernel"), initrd=archive,
        kernel_options=KERNEL_OPTIONS, emulator=machine.qemu, spare_ports=SPARE_PORTS,
        interfaces="".join(card.interface() for card in cards),
        console=lab.path(f"{name}-console.log"), shell=SHELL.format(name=name))


class LibvirtGuest(Shell, Listener):
    """The guest of a domain that runs on `host`. Connect before it has booted, or it is taken to
    have (`wait_booted()` would wait for ever)."""

    def __init__(self, host, name):
        self.name = name
        self.console = self.log_path = host.lab.path(f"{name}-console.log")
        self.port = socket.socket(socket.AF_UNIX)
        self.port.settimeout(CONNECT_LIMIT_S)
        self.port.connect(host.outside(SHELL.format(name=name)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.port.close()

    def heard_on(self):
        return self.port.fileno()

    def write(self, data):
        self.port.sendall(data)


def define(host, xml):
    path = host.lab.path("domain.xml")
    with open(path, "w") as file:
        file.write(xml)
    host.virsh("define", path)


def start(host, name):
    """The domain's guest, booted."""
    host.virsh("start", name)
    guest = LibvirtGuest(host, name)
    guest.wait_booted()
    return guest
