import json

import pytest

from tally import Tally, from_junit, from_meson

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="A">
{}
</testsuite></testsuites>
"""
PASSED = '<testcase name="Passes" status="run" result="completed" classname="A" />'
FAILED = ('<testcase name="Fails" status="run" classname="A"><failure message="1"/>'
          '<failure message="2"/></testcase>')
SKIPPED = ('<testcase name="Skips" status="run" result="skipped" classname="A">'
           '<skipped message="a_test.cpp:3&#x0A;needs root"/></testcase>')
DISABLED = '<testcase name="DISABLED_A" status="notrun" result="suppressed" classname="A" />'
ERROR = '<testcase name="SetUp" classname="A"><error message="no"/></testcase>'


@pytest.fixture
def reports(tmp_path):
    def write(**cases):
        for name, lines in cases.items():
            (tmp_path / f"{name}.xml").write_text(REPORT.format("\n".join(lines)))
        return tmp_path
    return write


@pytest.fixture
def log(tmp_path):
    def write(*tests):
        file = tmp_path / "testlog.json"
        file.write_text("".join(json.dumps(test) + "\n" for test in tests))
        return file
    return write


def meson_test(result, *command, returncode=0, stdout=""):
    return {"name": "unit / a", "result": result, "returncode": returncode, "stdout": stdout,
            "command": command}


def test_cases_of_a_report_are_counted_once_each(reports):
    folder = reports(a_test=[PASSED, PASSED, FAILED, SKIPPED, DISABLED, ERROR])
    assert from_junit(folder / "a_test.xml") == Tally(
        2, ["A.Fails", "A.SetUp"],
        ["A.Skips: a_test.cpp:3 needs root", "A.DISABLED_A: disabled"])


def test_program_with_a_report_counts_by_its_cases(reports, log):
    tests = log(meson_test("OK", "/usr/bin/unshare", "-n", "/b/a_test"))
    assert from_meson(tests, reports(a_test=[PASSED, PASSED])).passed == 2


def test_failed_case_is_not_counted_again_for_its_program(reports, log):
    tests = log(meson_test("FAIL", "/b/a_test", returncode=1))
    assert from_meson(tests, reports(a_test=[PASSED, FAILED])) == Tally(1, ["A.Fails"])


@pytest.mark.parametrize("result, status", [("FAIL", -6), ("TIMEOUT", -15), ("ERROR", 1)])
def test_program_that_ended_without_a_report_is_one_failure(reports, log, result, status):
    tests = log(meson_test(result, "/b/a_test", returncode=status))
    assert from_meson(tests, reports()) == Tally(
        0, [f"unit / a: {result}, status {status}"])


def test_leak_after_the_last_case_is_a_failure(reports, log):
    tests = log(meson_test("FAIL", "/b/a_test", returncode=-6))
    tally = from_meson(tests, reports(a_test=[PASSED]))
    assert (tally.passed, len(tally.failures)) == (1, 1)


def test_program_without_cases_counts_as_one(reports, log):
    tests = log(meson_test("OK", "/b/parse_fuzzer"),
                meson_test("SKIP", "python3", "x.py", returncode=77, stdout="a\nneeds root\n"))
    assert from_meson(tests, reports()) == Tally(1, [], ["unit / a: needs root"])
