"""Counts, under callgrind, the instructions that the pump takes for a 64-byte frame outside the
kernel, and compares them with the committed figures."""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

FIGURES = pathlib.Path(__file__).with_suffix(".json")
GROWTH_MAX = 0.05
ATTEMPTS = 10
TARGETS = {"split": 120, "packed": 130}


def run(program):
    """What the program says of itself, and the instructions per frame of each case."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--quiet", "--collect-atstart=no",
             f"--callgrind-out-file={folder}/dump", program],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        said = json.loads(done.stdout)
        dumps = [path.read_text() for path in sorted(pathlib.Path(folder).iterdir())]
    counted = {}
    for dump in dumps:
        if case := re.search(r"^desc: Trigger: Client Request: (.+)$", dump, re.MULTILINE):
            total = int(re.search(r"^totals: (\d+)$", dump, re.MULTILINE)[1])
            counted[case[1]] = round(total / said["frames"], 1)
    return said["built with"], counted


def least(*counts):
    """A busy machine only ever adds to them: turns that find nothing yet."""
    return {case: min(count[case] for count in counts) for case in counts[0]}


def table(counted):
    """A row for each direction and layout; turns that are full, or have a lone frame."""
    print("Instructions per 64-byte frame, outside the kernel\n")
    print(f"{'direction':15}{'ring':8}{'full turns':>12}{'target':>8}{'lone frames':>13}")
    for direction, layout in dict.fromkeys(tuple(case.split()[:2]) for case in counted):
        full, lone = (counted[f"{direction} {layout} {turn}"] for turn in ("full", "lone"))
        print(f"{direction:15}{layout:8}{full:12.1f}{TARGETS[layout]:8}{lone:13.1f}")


def compare(counted, committed):
    """What has grown too much, a line each."""
    return [f"{case}: {counted.get(case)} instructions per frame, were {before}"
            for case, before in committed.items()
            if counted.get(case) is None or counted[case] > before * (1 + GROWTH_MAX)]


def main():
    parser = argparse.ArgumentParser(prog="script/bench instructions", description=__doc__)
    parser.add_argument("--update", action="store_true",
                        help=f"write the counts to {FIGURES.name} instead of comparing them")
    parser.add_argument("program", help="the built program `turns`")
    arguments = parser.parse_args()

    built_with, counted = run(arguments.program)
    if arguments.update:
        counted = least(counted, *(run(arguments.program)[1] for _ in range(ATTEMPTS - 1)))
    table(counted)
    if arguments.update:
        FIGURES.write_text(json.dumps({"built with": built_with,
                                       "instructions per frame": counted}, indent=4) + "\n")
        return 0
    figures = json.loads(FIGURES.read_text())
    if built_with != figures["built with"]:
        print(f"\nNot compared: this is {built_with}, the figures are of {figures['built with']}.")
        return 0
    grown = compare(counted, figures["instructions per frame"])
    for _ in range(ATTEMPTS - 1):
        if grown:
            counted = least(counted, run(arguments.program)[1])
            grown = compare(counted, figures["instructions per frame"])
    if grown:
        print(f"\nGrown by more than {GROWTH_MAX:.0%}:", *grown, sep="\n  ")
        print("If that is worth it: script/bench instructions --update, and say why in the commit.")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
