"""iperf3 in the guest, and its server at the peer."""

import json

from process import Deadline, TalkingChild
from unpacked import IPERF3, WITH_LIBRARIES

LISTEN_LIMIT_S = 20


class Server(TalkingChild):
    def __init__(self, lab):
        super().__init__(
            lab.peer.command(*WITH_LIBRARIES, IPERF3, "--server", "--forceflush"),
            lab.path("iperf3.log"))

    def measure(self, guest, address, options):
        """What the guest's iperf3 has to say in the end."""
        self.read_until(b"Server listening", Deadline(LISTEN_LIMIT_S))
        return json.loads(guest.run(f"iperf3 --json --client {address} {options}"))["end"]
