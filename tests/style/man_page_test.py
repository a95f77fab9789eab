"""Every option a program offers is documented, and no other."""

import json
import re
import shutil
import subprocess

import pytest

from sources import ROOT, sources

BUILD = ROOT / "build/release"
TARGETS = BUILD / "meson-info/intro-targets.json"
# `--help` is the same everywhere.
OPTION = re.compile(r"(?<![\w-])--(?!help\b)[a-z][\w-]*")


def offered_options(help_text):
    return {option for line in help_text.splitlines() if re.match(r"\s+-", line)
            for option in OPTION.findall(line.split("  ", 2)[1] if "  " in line else line)}


def built_in_verbs(help_text):
    """The others are programs of their own, named in parentheses, with man pages of their own."""
    return [match[1] for match in re.finditer(r"^  ([a-z]\S*)  +(.*)$", help_text, re.MULTILINE)
            if not match[2].endswith(")")]


def documented_options(man_text):
    """Those a line of a man(7) or mdoc(7) page begins with; examples name them further on."""
    plain = re.sub(r"\\f[BIRP]|\\&|\"", "", man_text).replace("\\-", "-").replace("Fl ", "-")
    return {option for line in plain.splitlines()
            if re.match(r"(?:\.(?:[A-Z]{1,2}|It|Op) )?-", line)
            for option in OPTION.findall(line)}


def man_pages():
    return {path.rpartition("/")[2].removesuffix(".1"): text for path, text in sources()
            if path.startswith("docs/man/") and path.endswith(".1")}


def installed_programs():
    if not TARGETS.exists():
        pytest.skip(f"{BUILD.relative_to(ROOT)} is not built; script/test builds it")
    return {target["name"]: target["filename"][0] for target in json.loads(TARGETS.read_text())
            if target["type"] == "executable" and target["installed"]}


def help_of(*command):
    return subprocess.run([*command, "--help"], check=True, capture_output=True, text=True,
                          timeout=10).stdout


def options_of(program, *verbs):
    """With those of its built-in verbs, and of theirs."""
    help_text = help_of(program, *verbs)
    return offered_options(help_text).union(
        *(options_of(program, *verbs, verb) for verb in built_in_verbs(help_text)))


def test_every_installed_program_has_a_man_page():
    assert set(installed_programs()) == set(man_pages())


def test_man_pages_document_the_options_there_are():
    pages = man_pages()
    wrong = []
    for name, program in installed_programs().items():
        offered = options_of(program)
        documented = documented_options(pages.get(name, ""))
        wrong += [f"{name}.1 lacks {option}" for option in sorted(offered - documented)]
        wrong += [f"{name} has no {option}" for option in sorted(documented - offered)]
    assert not wrong


def test_mandoc_has_nothing_to_warn_of():
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    pages = [ROOT / "docs/man" / f"{name}.1" for name in man_pages()]
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout


def test_help_text_is_understood():
    text = ("Usage:\n  a [OPTION…]\n\nHelp Options:\n  -h, --help     Show help\n\n"
            "Application Options:\n  -q, --queues=N      Not --this\n  --json   As JSON\n")
    assert offered_options(text) == {"--queues", "--json"}
    assert built_in_verbs("Usage: a VERB\n\n  list   list things\n  pump   serve (a-pump)\n\n"
                          "`a VERB --help` tells more.\n") == ["list"]


@pytest.mark.parametrize("text", [
    ".TP\n.BI \\-\\-queues= N\nHow many; see \\-\\-other.\n.TP\n\\fB\\-j\\fR, \\fB\\-\\-json\\fR\n",
    ".It Fl -queues Ar N\nHow many; see\n.Fl -other .\n.It Fl j , Fl -json\n",
])
def test_man_page_is_understood(text):
    assert documented_options(text) == {"--queues", "--json"}
