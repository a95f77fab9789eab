"""What script/bootstrap has unpacked: programs for guests, which need not be installed here."""

import os

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = f"{CHECKOUT}/build/guest/programs"
IPERF3 = f"{PROGRAMS}/usr/bin/iperf3"

# In front of a command here that runs one of them.
WITH_LIBRARIES = ("env", f"LD_LIBRARY_PATH={PROGRAMS}/usr/lib/x86_64-linux-gnu")
