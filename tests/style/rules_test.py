"""Feeds each rule a snippet that breaks it and one that does not."""

import pytest

import bans
import rules


def check(rule, path, text):
    return [finding.line for finding in rule(path, text)]


BROKEN = [
    (rules.layer_order, "backend/base/a.h", '#include "backend/a.h"\n'),
    (rules.layer_order, "backend/a.cpp", '#include "vhost/a.h"\n'),
    (rules.layer_order, "vhost/a.cpp", '#include "backend/tap_queue.h"\n'),
    (rules.layer_order, "vhost/a.cpp", "#include <liburing.h>\n"),
    (rules.layer_order, "vhost/a.cpp", '#  include <iouring/ring.h>\n'),
    (rules.layer_order, "iouring/a.cpp", '#include "xml/domain.h"\n'),
    (rules.layer_order, "iouring/a.cpp", "#include <libvirt/libvirt.h>\n"),
    (rules.layer_order, "backend/a.cpp", "#include <libxml/tree.h>\n"),
    (rules.layer_order, "xml/a.cpp", '#include "hooks/lifecycle.h"\n'),
    (rules.layer_order, "hooks/a.cpp", '#include "tests/fake.h"\n'),
    (rules.layer_order, "hooks/a.cpp", "#include <libvirt/libvirt.h>\n"),
    (rules.layer_order, "hooks/a.cpp", '#include "hooks/libvirt/card.h"\n'),
    (rules.layer_order, "backend/a.cpp", '#include "mac_address.h"\n'),
    (rules.function_length, "a.cpp", "int f() {\n" + "    g();\n" * 69 + "}\n"),
    (rules.function_length, "a.py", "def f():\n" + "    g()\n" * 70),
    (rules.file_length, "a.cpp", "\n" * 601),
    (rules.line_length, "meson.build", "x" * 101 + "\n"),
    (rules.line_length, "script/test", "#!/bin/bash\n" + "x" * 101 + "\n"),
    (rules.banned_calls, "backend/a.cpp", "auto t = strerror(errno);\n"),
    (rules.banned_calls, "backend/a.cpp", "::close(fd);\n"),
    (rules.banned_calls, "backend/a.cpp", "    return close(fd);\n"),
    (rules.banned_calls, "tests/unit/a.cpp", "std::this_thread::sleep_for(1s);\n"),
    (rules.banned_calls, "tests/unit/a.cpp", "usleep(100);\n"),
    (rules.banned_calls, "backend/a.cpp", 'std::system("ip link");\n'),
    (rules.banned_calls, "backend/a.cpp", "popen(command, mode);\n"),
    (rules.banned_calls, "backend/a.cpp", "const int n = std::stoi(text);\n"),
    (rules.banned_calls, "backend/a.cpp", "using namespace std;\n"),
    (rules.banned_calls, "backend/a.cpp", "auto* p = reinterpret_cast<char*>(q);\n"),
    (rules.banned_calls, "backend/a.cpp", "std::cerr << 1;\n"),
    (rules.banned_calls, "backend/a.cpp", 'fmt::print("{}", 1);\n'),
    (rules.banned_calls, "backend/a.cpp", 'fprintf(stderr, "x");\n'),
    (rules.banned_calls, "tests/vm/a.py", "import time\ntime.sleep(1)\n"),
    (rules.banned_calls, "script/a.py", "import os\nos.system('ls')\n"),
    (rules.banned_calls, "tests/netns/a.sh", "true; sleep 1\n"),
    (rules.header_opening, "a.h", "#pragma once\n"),
    (rules.header_opening, "a.h", "// Why it is here.\n#include <vector>\n"),
    (rules.header_opening, "a.h", "//\n#pragma once\n"),
    (rules.reason_for_todo, "a.cpp", "// TODO: later\n"),
    (rules.reason_for_todo, "README.md", "FIXME() what\n"),
    (rules.whitespace, "a.cpp", "int a; \n"),
    (rules.whitespace, "a.md", "\ta\n"),
    (rules.whitespace, "a.md", "a"),
    (rules.whitespace, "a.md", "a\n\n"),
    (rules.whitespace, "a.md", "a\r\n"),
    (rules.leading_comment, "base/unique_fd.h", "// unique_fd.h: owns.\n#pragma once\n"),
    (rules.leading_comment, "a.cpp", "// Author: somebody\n"),
    (rules.leading_comment, "a.cpp", "/*\n * Since 2024-05-06.\n */\n"),
    (rules.leading_comment, "a.py", "#!/usr/bin/python3\n# a@b.org made it\n"),
    (rules.machine_paths, "HACKING.md", "Run it in /" + "work/main.\n"),
]

KEPT = [
    (rules.layer_order, "vhost/a.cpp", '#include "backend/base/error.h"\n#include "vhost/b.h"\n'),
    (rules.layer_order, "backend/a.cpp", '#include "backend/base/error.h"\n#include "config.h"\n'),
    (rules.layer_order, "iouring/a.cpp", '#include "vhost/ring.h"\n#include <liburing.h>\n'),
    (rules.layer_order, "xml/a.cpp", '#include <libxml/tree.h>\n#include "backend/json.h"\n'),
    (rules.layer_order, "hooks/libvirt/a.cpp",
     '#include <libvirt/libvirt.h>\n#include "xml/domain.h"\n'),
    (rules.layer_order, "tests/unit/a.cpp", '#include "hooks/a.h"\n#include "tests/b.h"\n'),
    (rules.layer_order, "backend/a.cpp", '// #include "vhost/a.h"\n#include <vector>\n'),
    (rules.function_length, "a.cpp", "int f() {\n" + "    g();\n" * 68 + "}\n"),
    (rules.function_length, "a.py", "def f():\n" + "    g()\n" * 69),
    (rules.file_length, "a.cpp", "\n" * 600),
    (rules.file_length, "LICENSE", "\n" * 601),
    (rules.line_length, "a.h", "x" * 100 + "\n"),
    (rules.line_length, "a.md", "x" * 101 + "\n"),
    (rules.banned_calls, "backend/a.cpp", '// close(fd)\nlog("close(fd)"); fclose(f);\n'),
    (rules.banned_calls, "backend/a.cpp", "queue.close(1); q->close(1); A::close(1); close();\n"),
    (rules.banned_calls, "backend/base/unique_fd.h", "::close(fd_);\n"),
    (rules.banned_calls, "backend/a.cpp", "std::system_error e; filesystem(1); restore(2);\n"),
    (rules.banned_calls, "iouring/a.cpp", "std::this_thread::sleep_for(1s);\n"),
    (rules.banned_calls, "backend/a.cpp", "snprintf(b, 1, f); fmt::format(f);\n"),
    (rules.banned_calls, "backend/a.cpp", "int main(int, char**) {\n    std::puts(a);\n}\n"),
    (rules.banned_calls, "vhost/a.cpp", "bind(s, reinterpret_cast<const sockaddr*>(&a), n);\n"),
    (rules.banned_calls, "vhost/a.cpp", "using namespace std::chrono_literals;\n"),
    (rules.banned_calls, "tests/vm/a.py", "deadline.wait()\n# time.sleep(1)\n"),
    (rules.banned_calls, "script/a.sh", "sleep 1\n"),
    (rules.header_opening, "a.h", "// Why it is here.\n//\n// More.\n#pragma once\n"),
    (rules.header_opening, "a.cpp", "#include <vector>\n"),
    (rules.reason_for_todo, "a.cpp", "// TODO(needs Linux 6.14): drop the copy\n"),
    (rules.whitespace, "a.md", "a\n\nb\n"),
    (rules.whitespace, "tests/domains/crlf.xml", "<a>\r\n\t</a>"),
    (rules.whitespace, "packaging/debian/rules", "a:\n\ttrue\n"),
    (rules.whitespace, "tests/vm/__init__.py", ""),
    (rules.leading_comment, "base/a.h", "// Uses unique_fd.h; frames of 2048 bytes.\n\n// a.h\n"),
    (rules.leading_comment, "a.md", "2024-05-06\n"),
    (rules.machine_paths, "a.md", "See https://a.b/work and docs/work, ./work, networks.\n"),
]


@pytest.mark.parametrize("rule, path, text", BROKEN)
def test_rule_finds_the_violation(rule, path, text):
    assert len(check(rule, path, text)) == 1


@pytest.mark.parametrize("rule, path, text", KEPT)
def test_rule_lets_good_text_be(rule, path, text):
    assert check(rule, path, text) == []


def test_finding_names_file_line_and_remedy():
    findings = rules.banned_calls("backend/a.cpp", "int a;\n\nauto t = strerror(1);\n")
    assert [str(finding) for finding in findings] == [
        "backend/a.cpp:3: instead: throw Error, which names operation and cause"]


@pytest.mark.parametrize("builds, lines", [
    ({"vhost": "'ring_test.cpp'"}, []),
    ({"": "x", "vhost": "'a.cpp',\n'ring_test.cpp'"}, []),
    ({"": "'vhost/ring_test.cpp'"}, []),
    ({"vhost": "'ring-test': 'x'"}, []),
    ({"vhost": "'ring.cpp'"}, [1]),
    ({"iouring": "'ring_test.cpp'"}, [1]),
])
def test_source_must_be_listed_in_meson(builds, lines):
    assert check(lambda *file: rules.listed_in_meson(*file, builds),
                 "vhost/ring_test.cpp", "") == lines


def test_header_must_be_included():
    assert check(lambda *file: rules.used_header(*file, {"vhost/a.h"}), "vhost/a.h", "") == []
    assert check(lambda *file: rules.used_header(*file, {"vhost/a.h"}), "vhost/b.h", "") == [1]


def test_exception_that_lost_its_reason_is_stale():
    path = "backend/base/unique_fd.h"
    stale = [path for path, _ in bans.stale_exceptions({path: "::close(fd_);\n"})]
    assert path not in stale
    assert "backend/base/command_line.cpp" in stale
