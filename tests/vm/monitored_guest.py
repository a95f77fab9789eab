"""A guest whose QEMU takes commands while it runs."""

import socket

from guest import COMMAND_LIMIT_S, Guest


class MonitoredGuest(Guest):
    """QEMU takes commands."""

    def card(self, lab, machine, backend):
        self.monitor = lab.path("monitor.sock")
        return [*super().card(lab, machine, backend),
                "-monitor", f"unix:{self.monitor},server=on,wait=off"]

    def tell(self, command):
        """What QEMU answers."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(COMMAND_LIMIT_S)
            monitor.connect(self.monitor)
            answer = b""
            for line in ("", command):  # Each prompt comes when the command before is done.
                monitor.sendall(f"{line}\n".encode() if line else b"")
                answer = b""
                while not answer.endswith(b"(qemu) "):
                    answer += monitor.recv(65536)
            return answer.decode()
