"""The three ways to a card on a macvtap, as a domain says them."""

import dataclasses
import uuid

from lab import PARENT

DIRECT_XML = """<interface type='direct'>
  <mac address='{mac}'/>
  <source dev='{parent}' mode='bridge'/>
  <model type='virtio'/>
  <driver name='qemu' queues='{queues}'/>
  <rom enabled='no'/>
</interface>"""
HANDOFF_XML = """<interface type='ethernet'>
  <mac address='{mac}'/>
  <target dev='tl{digits}' managed='no'/>
  <model type='virtio'/>
  <driver name='qemu' queues='{queues}'/>
  <rom enabled='no'/>
</interface>"""
PUMP_XML = """<interface type='vhostuser'>
  <mac address='{mac}'/>
  <source type='unix' path='/run/tapline/sockets/{digits}.sock' mode='server'/>
  <model type='virtio'/>
  <driver queues='{queues}'/>
  <rom enabled='no'/>
</interface>"""

SHARED_MEMORY = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
METADATA = """<metadata>
  <tapline:interfaces xmlns:tapline='urn:tapline:domain:1'>{}</tapline:interfaces>
</metadata>"""


@dataclasses.dataclass(frozen=True)
class LibvirtCard:
    way: str
    mac: str
    xml: str
    queues: int = 1
    parent: str = PARENT
    attributes: str = ""

    def __str__(self):
        return self.way

    def with_queues(self, queues):
        return dataclasses.replace(self, queues=queues)

    def on(self, parent):
        return dataclasses.replace(self, parent=parent)

    def saying(self, attributes):
        """More in its metadata."""
        return dataclasses.replace(self, attributes=attributes)

    @property
    def digits(self):
        return self.mac.replace(":", "")

    def interface(self):
        return self.xml.format(mac=self.mac, digits=self.digits, parent=self.parent,
                               queues=self.queues)

    def metadata(self):
        if self.way == "direct":
            return ""
        return f"<tapline:interface mac='{self.mac}' parent='{self.parent}' mode='bridge' " \
               f"{self.attributes}/>"


DIRECT = LibvirtCard("direct", "52:54:00:12:34:01", DIRECT_XML)
HANDOFF = LibvirtCard("handoff", "52:54:00:12:34:02", HANDOFF_XML)
PUMP = LibvirtCard("pump", "52:54:00:12:34:03", PUMP_XML)
CARDS = (DIRECT, HANDOFF, PUMP)


def metadata_of(cards):
    elements = "".join(card.metadata() for card in cards)
    return METADATA.format(elements) if elements else ""


def domain_text(name, cards):
    """As little of a domain as the hook reads."""
    interfaces = "".join(card.interface() for card in cards)
    return f"<domain type='qemu'><name>{name}</name><uuid>{domain_uuid(name)}</uuid>" \
           f"{metadata_of(cards)}{SHARED_MEMORY}<devices>{interfaces}</devices></domain>"


def domain_uuid(name):
    """With the same one a domain is defined anew, not twice."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, name)
