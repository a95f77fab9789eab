"""What Tapline's hook adds to the start of a domain: script/bench hook [--rounds N] [--json].

On one host it is installed, on another one not, by turns; there its calls are timed alone, before
`virsh start`, which then finds what it needs."""

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
from libvirt_host import BUILD, HOOK, TAPLINE, LibvirtHost
from process import unwind_on_signals

DOMAINS = {"without cards": (), "direct": (DIRECT,), "handoff": (HANDOFF,), "pump": (PUMP,)}
CALLS = 100
CALLS_OF_A_START = """
begin=$(date +%s%N)
for operation in prepare start started; do $0 $1 $operation begin - </run/domain.xml; done
echo $(($(date +%s%N) - begin))"""


def milliseconds(*command, said=""):
    begin = time.perf_counter()
    subprocess.run(command, input=said, text=True, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - begin)


def start_ms(host, name):
    """Of `virsh start`, for a domain that is ended again."""
    taken = milliseconds(*host.command("virsh", "--quiet", "start", name))
    host.virsh("destroy", name)
    return taken


def calls_ms(host, name, xml):
    """Of the hook, for one start; by a clock on the host, as it takes time to get there."""
    host.write("/run/domain.xml", xml)
    return int(host.run("sh", "-c", CALLS_OF_A_START, HOOK, name)) / 1e6


def measure_starts(hosts, name, rounds):
    without, with_hook = hosts
    xml = without.virsh("dumpxml", name)
    calls, plain, hooked = [], [], []
    for _ in range(rounds):
        calls.append(calls_ms(without, name, xml))
        plain.append(start_ms(without, name))
        without.hook(name, "release", xml)
        hooked.append(start_ms(with_hook, name))
    medians = list(map(statistics.median, (calls, plain, hooked)))
    return dict(zip(("calls_ms", "without_ms", "with_ms"), medians)) | {
        "ratio": medians[2] / medians[1]}


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
    print("virsh start    hook alone    without       with    ratio")
    for name, start in results["start"].items():
        print(f"{name:16} {start['calls_ms']:5.0f} ms {start['without_ms']:7.0f} ms "
              f"{start['with_ms']:7.0f} ms {start['ratio']:8.2f}")


if __name__ == "__main__":
    main()
