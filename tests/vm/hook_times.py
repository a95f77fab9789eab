"""What Tapline's hook adds to the start of a domain: script/bench hook [--rounds N] [--json].

On one host it is installed, on another one not, by turns; there it makes what the domain needs
before the clock runs."""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import time

from lab import PARENT, PEER_LINK, new_namespace, open_lab
from libvirt_cards import DIRECT, HANDOFF, PUMP
from libvirt_guest import define, domain_xml
from libvirt_host import BUILD, TAPLINE, LibvirtHost
from process import unwind_on_signals

DOMAINS = {"without cards": (), "direct": (DIRECT,), "handoff": (HANDOFF,), "pump": (PUMP,)}
CALLS = 100


def milliseconds(*command, said=""):
    begin = time.perf_counter()
    subprocess.run(command, input=said, text=True, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - begin)


def start_ms(host, name, by_hand):
    """Of `virsh start`, for a domain that is ended again."""
    xml = host.virsh("dumpxml", name)
    if by_hand:
        host.hook(name, "prepare", xml)
    taken = milliseconds(*host.command("virsh", "--quiet", "start", name))
    host.virsh("destroy", name)
    if by_hand:
        host.hook(name, "release", xml)
    return taken


def measure_starts(hosts, name, rounds):
    taken = {host: [] for host in hosts}
    for _ in range(rounds):
        for host in hosts:
            taken[host].append(start_ms(host, name, by_hand=host.name == "without"))
    without, with_hook = (statistics.median(taken[host]) for host in hosts)
    return {"without_ms": without, "with_ms": with_hook, "added_ms": with_hook - without,
            "ratio": with_hook / without}


def measure_calls(command, xml):
    """The time a call takes, and that of processors alone, which other load changes little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    median = statistics.median(milliseconds(*command, said=xml) for _ in range(CALLS))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"median_ms": median, "cpu_ms": 1000 * cpu / CALLS}


def measure(rounds):
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(open_lab())
        other = stack.enter_context(new_namespace(f"{lab.host.name}2"))
        other.ip("link", "add", PARENT, "up", "type", "veth", "peer", "name", PEER_LINK)
        hosts = [stack.enter_context(LibvirtHost(lab, lab.host, "without")),
                 stack.enter_context(LibvirtHost(lab, other, "with"))]
        hosts[1].run(TAPLINE, "hook", "install")
        for host in hosts:
            host.start_libvirtd()
        texts = {name: domain_xml(lab, name.split()[0], cards) for name, cards in DOMAINS.items()}
        for host in hosts:
            for text in texts.values():
                define(host, text)
        call = f"{BUILD}/hooks/tapline-hook other prepare begin -".split()
        return {"call": {"tapline-hook": measure_calls(call, texts["without cards"]),
                         "true": measure_calls(["true"], texts["without cards"])},
                "start": {name: measure_starts(hosts, name.split()[0], rounds)
                          for name in DOMAINS}}


def main():
    parser = argparse.ArgumentParser(prog="script/bench hook", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="starts on each host (15)")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    unwind_on_signals()
    results = measure(options.rounds)
    if options.json:
        json.dump(results, sys.stdout, indent=2)
        return
    print("a call for a domain without cards")
    for program, call in results["call"].items():
        print(f"{program:16} {call['median_ms']:7.1f} ms {call['cpu_ms']:5.1f} ms of CPU time")
    print("virsh start         without     with    added    ratio")
    for name, start in results["start"].items():
        print(f"{name:16} {start['without_ms']:7.0f} ms {start['with_ms']:5.0f} ms "
              f"{start['added_ms']:5.0f} ms {start['ratio']:8.2f}")


if __name__ == "__main__":
    main()
