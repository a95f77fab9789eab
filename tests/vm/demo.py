#!/usr/bin/python3
"""Carries a guest's traffic through tapline-pump and tells how it went."""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import traffic
from guest import CHECKOUT, MACHINES, Guest
from lab import PEER_IPV4, open_lab
from process import Child, Failure, tail, unwind_on_signals
from pump import Pump

PINGS = 10
TRANSFER_MIB = 64
BUILD = "build/release"
WORK_LIMIT_S = 1800
SPIN_S = 0.1
INTERRUPTED = 130


@contextlib.contextmanager
def step(title):
    """One line: what is being done, whether it went well, how long it took."""
    start = time.monotonic()
    terminal = sys.stdout.isatty()

    def draw(sign, end=""):
        # Past the buffer of print(), which a signal handler must not enter.
        line = f"{sign} {title:<60}{time.monotonic() - start:7.1f} s{end}"
        os.write(sys.stdout.fileno(), f"\r{line}".encode() if terminal else line.encode())

    if terminal:
        signs = itertools.cycle("|/-\\")
        signal.signal(signal.SIGALRM, lambda *_: draw(next(signs)))
        signal.setitimer(signal.ITIMER_REAL, SPIN_S, SPIN_S)
    sign = "✗"
    try:
        yield
        sign = "✓"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        draw(sign, "\n")


class Work(Child):
    end_limit_s = 300  # An interrupted installation first makes whole what it is in.


def work(folder, *command):
    """A long command that is silent unless it fails."""
    with Work(command, f"{folder}/work.log") as child:
        if child.process.wait(WORK_LIMIT_S):
            raise Failure(f"{' '.join(command)} failed:\n{tail(child.log_path, 40)}")


def prepare():
    os.chdir(CHECKOUT)
    with tempfile.TemporaryDirectory() as folder:
        with step("install what is missing"):
            work(folder, "script/bootstrap")
        with step("build tapline-pump"):
            if not os.path.exists(f"{BUILD}/build.ninja"):
                work(folder, "meson", "setup", BUILD, "--buildtype=release")
            work(folder, "meson", "compile", "-C", BUILD, "tapline-pump")


@contextlib.contextmanager
def logs_shown_on_failure(lab):
    try:
        yield
    except Exception:
        for name, text in lab.logs().items():
            print(f"--- {name}\n{text}")
        raise


def main_job():
    machine = next(machine for machine in reversed(MACHINES) if not machine.missing())
    qemu = f"QEMU {machine.qemu_version()}"
    with contextlib.ExitStack() as owned:
        with step("join two network namespaces: host and peer"):
            lab = owned.enter_context(open_lab())
        owned.enter_context(logs_shown_on_failure(lab))
        with step("create a macvtap and start tapline-pump on it"):
            pump = owned.enter_context(Pump(lab))
            listening = pump.wait_for("listening")
        with step(f"boot a guest in {qemu}"):
            guest = owned.enter_context(Guest(lab, machine, listening))
            guest.wait_booted()
            running = pump.wait_for("running")
        with step(f"guest pings peer {PINGS} times"):
            ping = traffic.ping(guest, PEER_IPV4, PINGS)
        with step(f"guest sends {TRANSFER_MIB} MiB to peer"):
            sent = traffic.send(lab, guest, TRANSFER_MIB)
        with step(f"guest fetches {TRANSFER_MIB} MiB from peer"):
            fetched = traffic.fetch(lab, guest, TRANSFER_MIB)
        cost = told_cost(pump)
        with step("stop the guest and the pump"):
            system = f"Linux {guest.run('uname -r').strip()} in {qemu}"
            guest.end()
            stopped, status = pump.stop()
            if status:
                raise Failure(f"tapline-pump ended with status {status}")

        counters = stopped["counters"]
        summarize({
            "Device": "{device} on {parent}, {mode} mode, {mac}".format(**listening),
            "Queues": f"{running['queue_pairs']} of {listening['queue_pairs']} pairs in use",
            "Guest": system,
            "Features": short_names(running["features"]),
            "Ping": told_ping(ping),
            "Send": told_transfer(sent),
            "Fetch": told_transfer(fetched),
            "Guest to wire": told_counters(counters["guest_to_wire"]),
            "Wire to guest": told_counters(counters["wire_to_guest"]),
            "Pump": cost,
        })
        if ping.loss_percent or not (sent.intact and fetched.intact):
            raise Failure("not everything arrived as it was sent")


def short_names(features):
    virtio = re.compile(r"VIRTIO_(?:NET_)?F_(.*)")
    return " ".join(match[1] for match in map(virtio.match, features) if match)


def told_ping(ping):
    least, average, most = ping.rtt_ms or ("-",) * 3
    return (f"{ping.loss_percent:.0f} % of {ping.sent} lost, round trip {least} / {average} / "
            f"{most} ms (min / avg / max)")


def told_transfer(transfer):
    sums = "SHA-256 equal" if transfer.intact else "SHA-256 DIFFERENT"
    return f"{transfer.size >> 20} MiB at {transfer.mbit_per_s:.0f} Mbit/s, {sums}"


def told_counters(direction):
    dropped = ", ".join(f"{count} {reason}" for reason, count in direction["dropped"].items()
                        if count) or "none"
    return f"{direction['frames']} frames, {direction['bytes']} bytes, dropped: {dropped}"


def told_cost(pump):
    return ("resident: {:.1f} MiB of its own, {:.1f} MiB of the guest's; ".format(
        *pump.resident_mib()) + f"{pump.cpu_s():.2f} s CPU")


def summarize(facts):
    print()
    for name, text in facts.items():
        first, *others = textwrap.wrap(text, 80)
        print(f"  {name:<15}{first}")
        for line in others:
            print(f"  {'':<15}{line}")
    print()


def main():
    unwind_on_signals()
    try:
        prepare()
        main_job()
    except KeyboardInterrupt:
        print("demo: interrupted; nothing is left behind", file=sys.stderr)
        return INTERRUPTED
    except (Failure, OSError, subprocess.SubprocessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
