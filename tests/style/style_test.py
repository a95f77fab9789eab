"""Holds the repository to the rules. A finding names the file, the line and what to do."""

import shutil
import subprocess

import pytest

import bans
import rules
from sources import ROOT, is_cpp, sources

NAMES_WHAT_IT_FORBIDS = "tests/style/"


def fail_on(findings):
    if findings:
        pytest.fail("\n".join(map(str, findings)), pytrace=False)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps(rule):
    by_word = rule in (rules.reason_for_todo, rules.machine_paths)
    fail_on([finding for path, text in sources()
             if not (by_word and path.startswith(NAMES_WHAT_IT_FORBIDS))
             for finding in rule(path, text)])


def test_every_source_is_listed_in_meson():
    builds = {path.rpartition("/")[0]: text for path, text in sources()
              if path.endswith("meson.build")}
    fail_on([finding for path, text in sources()
             for finding in rules.listed_in_meson(path, text, builds)])


def test_every_header_is_included():
    included = {path for source in sources() if is_cpp(source.path)
                for _, path, _ in rules.includes(source.text)}
    fail_on([finding for path, text in sources()
             for finding in rules.used_header(path, text, included)])


def test_every_exception_is_still_needed():
    fail_on(bans.stale_exceptions(dict(sources())))


def test_clang_format_changes_nothing():
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if program is None:
        pytest.skip("clang-format is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    if "version 14." not in version:
        pytest.skip(f"formatting is that of clang-format 14, here is: {version.strip()}")
    files = [source.path for source in sources() if is_cpp(source.path)]
    done = subprocess.run([program, "--dry-run", "-Werror", "--ferror-limit=1", *files], cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"run clang-format -i on these:\n{done.stderr}", pytrace=False)
