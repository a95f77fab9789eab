"""Guests that let the card reach only what they have mapped for it, by an IOMMU that QEMU plays."""

import pytest

import traffic
from guest import MACHINES, Guest
from lab import PEER_IPV4

MEBIBYTES = 64
INSTALLED, BACKPORTS = MACHINES


class IommuGuest(Guest):
    nic_options = ",iommu_platform=on,ats=on,disable-legacy=on"

    def __init__(self, lab, machine, backend, kernel_options):
        self.kernel_options = f"intel_iommu=on {kernel_options}"
        super().__init__(lab, machine, backend)

    def card(self, lab, machine, backend):
        return ["-device", "intel-iommu,device-iotlb=on,intremap=off",
                *super().card(lab, machine, backend)]


# strict: each mapping is taken back when it is no longer used; lazy: many are at once, and all
# translations with them, which QEMU 7.2 does not tell its back ends.
@pytest.mark.parametrize("machine, mappings", [
    (BACKPORTS, "iommu.strict=0"), (BACKPORTS, "iommu.strict=1"), (INSTALLED, "iommu.strict=1"),
], ids=["backports-lazy", "backports-strict", "installed-strict"], indirect=["machine"])
def test_guest_behind_an_iommu_sends_and_receives(lab, machine, pump, listening, mappings):
    with IommuGuest(lab, machine, listening, mappings) as guest:
        guest.wait_booted()
        assert "VIRTIO_F_ACCESS_PLATFORM" in pump.wait_for("running")["features"]
        assert traffic.ping(guest, PEER_IPV4, count=5).loss_percent == 0
        assert traffic.send(lab, guest, MEBIBYTES).intact
        assert traffic.fetch(lab, guest, MEBIBYTES).intact
    counters = pump.stop()[0]["counters"]
    assert counters["protocol_errors"] == {}
    for direction in ("guest_to_wire", "wire_to_guest"):
        assert counters[direction]["dropped"] == counters[direction]["ring_faults"] == {}
