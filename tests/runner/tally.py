"""Counts what passed, failed and was skipped from the reports that test programs leave."""

import dataclasses
import json
import pathlib
import xml.etree.ElementTree

MESON_GOOD = ("OK", "EXPECTEDFAIL")


@dataclasses.dataclass
class Tally:
    passed: int = 0
    failures: list = dataclasses.field(default_factory=list)
    skips: list = dataclasses.field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures
        self.skips += other.skips

    def is_empty(self):
        return not (self.passed or self.failures or self.skips)


def from_junit(report):
    """The report of GoogleTest or pytest."""
    tally = Tally()
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            tally.failures.append(name)
        elif skipped is not None:
            lines = skipped.get("message", "").split("\n")
            tally.skips.append(f"{name}: {' '.join(lines).strip()}")
        elif case.get("status") == "notrun":
            tally.skips.append(f"{name}: disabled")
        else:
            tally.passed += 1
    return tally


def from_meson(log, reports):
    """Counts GoogleTest's cases where a test left a report in `reports`; any other test is one
    case, and so is what no case accounts for: a crash, a time-out, a leak found at exit."""
    tally = Tally()
    for line in log.read_text().splitlines():
        test = json.loads(line)
        own = Tally()
        for report in reports_of(test, reports):
            own.add(from_junit(report))
        if test["result"] == "SKIP":
            own.skips.append(f"{test['name']}: {last_line(test)}")
        elif test["result"] not in MESON_GOOD and not own.failures:
            own.failures.append(f"{test['name']}: {test['result']}, status {test['returncode']}")
        elif own.is_empty():
            own.passed += 1
        tally.add(own)
    return tally


def reports_of(test, reports):
    """GoogleTest names the report after the program, which a wrapper may have started."""
    paths = (reports / f"{pathlib.Path(word).name}.xml" for word in test["command"])
    return [path for path in paths if path.is_file()]


def last_line(test):
    lines = (test.get("stdout", "") + test.get("stderr", "")).strip().splitlines()
    return lines[-1] if lines else "no reason given"
