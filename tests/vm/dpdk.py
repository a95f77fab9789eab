"""DPDK's virtio-user: a vhost-user front end and a driver that polls, in one process and no guest.

It answers what it is asked in ARP and ICMP.
"""

import shutil

from process import Deadline, TalkingChild
from unpacked import CHECKOUT

ROOT = f"{CHECKOUT}/build/guest/dpdk/usr"
TESTPMD = f"{ROOT}/bin/dpdk-testpmd"
LIBRARIES = f"{ROOT}/lib/x86_64-linux-gnu"
PLUGIN_FOLDER = f"{LIBRARIES}/dpdk/pmds-23.0"
PLUGINS = ("librte_mempool_ring.so.23", "librte_net_virtio.so.23")
PROMPT = b"testpmd> "
START_LIMIT_S = 30
MEMORY_MIB = 128
# Were DPDK installed, its plugins would be loaded, too, and clash with ours.
LAUNCH = """installed=/usr/lib/x86_64-linux-gnu/dpdk
[ ! -d $installed ] || mount -t tmpfs none $installed
exec "$@"
"""


class VirtioUser(TalkingChild):
    def __init__(self, lab, backend, options):
        plugins = []
        for plugin in PLUGINS:  # DPDK refuses those below a folder to which everybody may write.
            plugins += ["-d", shutil.copy(f"{PLUGIN_FOLDER}/{plugin}", lab.path(plugin))]
        device = ",".join(("net_virtio_user0", f"path={backend['socket']}",
                           f"mac={backend['mac']}", options))
        super().__init__(
            ["unshare", "--mount", "sh", "-c", LAUNCH, "sh",
             "env", f"LD_LIBRARY_PATH={LIBRARIES}:{PLUGIN_FOLDER}",
             f"RUNTIME_DIRECTORY={lab.folder}",
             TESTPMD, "--no-huge", "-m", str(MEMORY_MIB), "-l", "0,1", "--no-pci",
             "--no-telemetry", *plugins, f"--vdev={device}",
             "--", "--interactive", "--no-flush-rx", "--total-num-mbufs=4096",
             "--forward-mode=icmpecho"], lab.path("testpmd.log"))

    def start(self):
        deadline = Deadline(START_LIMIT_S)
        self.read_until(PROMPT, deadline)
        self.write(b"start\n")
        self.read_until(PROMPT, deadline)

    def quit(self):
        self.write(b"quit\n")
        return self.process.wait(self.end_limit_s)
