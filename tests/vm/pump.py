"""tapline-pump in the host namespace, and what it says of itself."""

import json
import os
import signal

from guest import CHECKOUT
from lab import PARENT
from process import Deadline, TalkingChild

PROGRAM = os.environ.get("TAPLINE_PUMP", f"{CHECKOUT}/build/release/iouring/tapline-pump")
EVENT_LIMIT_S = 15


class Pump(TalkingChild):
    def __init__(self, lab, *options):
        self.socket_path = lab.path("vhost-user.sock")
        super().__init__(
            lab.host.command(PROGRAM, "--socket-path", self.socket_path, "--parent", PARENT,
                             "--mode", "bridge", "--json-status", *options),
            lab.path("pump.log"))

    def wait_for(self, event, limit_s=EVENT_LIMIT_S):
        """The next status line of that kind."""
        deadline = Deadline(limit_s)
        while True:
            status = json.loads(self.read_until(b"\n", deadline))
            if status["event"] == event:
                return status

    def stop(self):
        """Its last status line and its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_for("stopped"), self.end()

    def cpu_s(self):
        """User and system time so far."""
        with open(f"/proc/{self.pid}/stat") as stat:
            # The name in parentheses may hold anything; the fields are counted behind it.
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        """Its own memory, and what it touched of the guest's."""
        with open(f"/proc/{self.pid}/status") as status:
            lines = (line.split() for line in status if line.startswith("Rss"))
            kib = {fields[0]: int(fields[1]) for fields in lines}
        return (kib["RssAnon:"] + kib["RssFile:"]) / 1024, kib["RssShmem:"] / 1024
