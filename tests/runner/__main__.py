"""Builds Tapline and runs its test suites; everything it writes is below build/."""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time

from tally import Tally, from_junit, from_meson

BUILD = pathlib.Path("build")
STEP_TIMEOUT_S = 45 * 60
HANG_TRACE_S = 10 * 60
LATER = ("nice", "-n", "19")
AT_ONCE = 2 * os.cpu_count()  # Tests, most of which wait for most of their time.

# Lines, but no variables, and no optimization: a fifth of the time to compile. Of such a build
# netns tests the programs, with the tests of the release.
SANITIZED = ["--buildtype=plain", "-Db_lundef=false", "-Dnetns_tests=false"]
BUILDS = {
    "release": ["--buildtype=release", "-Dwerror=true"],
    # Clang takes a process that is out of descriptors for one whose objects are broken (vptr).
    "asan": [*SANITIZED, "-Dcpp_args=-g1 -fno-sanitize=vptr", "-Db_sanitize=address,undefined",
             "-Dfuzz=true"],
    "tsan": [*SANITIZED, "-Dcpp_args=-g1", "-Db_sanitize=thread"],
}
COMPILERS = {"asan": {"CC": "clang", "CXX": "clang++"}}
TARGETS = {"tsan": ["threads"]}

ENVIRONMENT = {
    "ASAN_OPTIONS": "halt_on_error=1:abort_on_error=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclasses.dataclass(frozen=True)
class Suite:
    build: str
    meson: tuple = ()       # Suites of Meson.
    pytest: tuple = ()      # Folders.
    programs: str = ""      # Of which build; else of the same.
    ahead: bool = False     # Beside the others, once all is built.


SUITES = {
    "style": Suite("release", pytest=("tests/style", "tests/runner")),
    "unit": Suite("release", meson=("unit",)),
    "netns": Suite("release", meson=("netns",)),
    "vm": Suite("release", pytest=("tests/vm",)),
    "asan": Suite("asan", meson=("unit",)),
    "asan-netns": Suite("release", meson=("netns",), programs="asan"),
    "tsan": Suite("tsan", meson=("unit",)),
    "tsan-netns": Suite("release", meson=("threads",), programs="tsan"),
    "fuzz": Suite("asan", meson=("fuzz",), ahead=True),
}


def step(title, command, environment=None, quiet=False):
    """Runs a command and tells how long it took; a quiet one is heard only when it fails."""
    print(f"==> {title}", flush=True)
    started = time.monotonic()
    try:
        done = subprocess.run(command, env={**os.environ, **ENVIRONMENT, **(environment or {})},
                              stdin=subprocess.DEVNULL, timeout=STEP_TIMEOUT_S, text=True,
                              stdout=subprocess.PIPE if quiet else None,
                              stderr=subprocess.STDOUT if quiet else None)
        good = done.returncode == 0
        outcome = "done" if good else f"FAILED with status {done.returncode}"
        if quiet and not good:
            print(done.stdout)
    except subprocess.TimeoutExpired as expired:
        good, outcome = False, "FAILED: not done in time"
        print((expired.stdout or b"").decode(errors="replace"))
    print(f"<== {title}: {outcome} after {time.monotonic() - started:.1f} s", flush=True)
    return good


def build(name):
    folder = BUILD / name
    if not (folder / "build.ninja").exists():
        if not step(f"configure {folder}", ["meson", "setup", folder, *BUILDS[name]],
                    COMPILERS.get(name), quiet=True):
            return False
    compile_it = [*LATER, "meson", "compile", "-C", folder, *TARGETS.get(name, ())]
    return step(f"compile {folder}", compile_it, quiet=True)


class Builds:
    """Made one after the other and ahead of the tests, which wait more than they compute."""

    def __init__(self, names):
        self.maker = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        suites = [SUITES[name] for name in names]
        needed = dict.fromkeys(one for suite in suites for one in (suite.build, suite.programs))
        self.results = {one: self.maker.submit(build, one) for one in needed if one}

    def __getitem__(self, name):
        return self.results[name].result()


def run_meson(name, suite, reports):
    log = BUILD / suite.build / f"meson-logs/{name}.json"
    log.unlink(missing_ok=True)
    selection = [word for one in suite.meson for word in ("--suite", one)]
    environment = {"GTEST_OUTPUT": f"xml:{reports.absolute()}/"}
    if suite.programs:
        environment["TAPLINE_PROGRAM_DIR"] = str((BUILD / suite.programs).absolute())
    good = step(name, [*(LATER if suite.ahead else ()),
                       "meson", "test", "-C", BUILD / suite.build, "--no-rebuild",
                       "--logbase", name, "--num-processes", str(AT_ONCE),
                       "--print-errorlogs", "--timeout-multiplier=2", *selection], environment)
    return good, from_meson(log, reports) if log.exists() else Tally()


def run_pytest(name, suite, reports):
    report = reports / "pytest.xml"
    good = step(name, [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}",
                       "-p", "no:cacheprovider", "-o", f"faulthandler_timeout={HANG_TRACE_S}",
                       *suite.pytest])
    return good, from_junit(report) if report.exists() else Tally()


def run(name, builds):
    suite = SUITES[name]
    for one in filter(None, (suite.build, suite.programs)):
        if not builds[one]:
            return Tally(failures=[f"{BUILD / one} does not build"])
    reports = BUILD / "reports" / name
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    good, tally = (run_meson if suite.meson else run_pytest)(name, suite, reports)
    if tally.is_empty():
        tally.failures.append("no test ran")
    elif not good and not tally.failures:
        tally.failures.append("the test runner failed, its tests did not")
    return tally


def main():
    parser = argparse.ArgumentParser(prog="script/test", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE",
                        help=f"{', '.join(SUITES)} (default: all of them)")
    names = parser.parse_args().suites or list(SUITES)
    if unknown := [name for name in names if name not in SUITES]:
        parser.error(f"no suite {unknown[0]}; there are {', '.join(SUITES)}")

    total = Tally()
    builds = Builds(names)
    ahead = {name: builds.maker.submit(run, name, builds)
             for name in dict.fromkeys(names) if SUITES[name].ahead}
    for name in dict.fromkeys(names):
        tally = ahead[name].result() if name in ahead else run(name, builds)
        total.add(Tally(tally.passed, [f"{name}: {text}" for text in tally.failures],
                        [f"{name}: {text}" for text in tally.skips]))
    return summary(total)


def summary(total):
    print()
    for text in total.skips:
        print(f"SKIPPED {text}")
    for text in total.failures:
        print(f"FAILED {text}")
    incomplete = os.environ.get("CI") == "true" and total.skips
    if incomplete:
        print("CI=true: a test that was skipped is an error")
    print(f"{total.passed} passed, {len(total.failures)} failed, {len(total.skips)} skipped",
          flush=True)
    return 0 if total.passed and not total.failures and not incomplete else 1


if __name__ == "__main__":
    sys.exit(main())
