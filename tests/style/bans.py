"""Calls we do not make, each with what to write instead and the files that are right to make it."""

import re
import typing


class Ban(typing.NamedTuple):
    pattern: str
    instead: str
    folder: str = ""                    # Only below this folder.
    not_in_programs: bool = False       # A file that defines main() may.
    exceptions: dict = {}               # Path: why it may.

    def applies_to(self, path):
        return path.startswith(self.folder) and path not in self.exceptions


def call(names, arguments=""):
    """A free function, with :: or std:: or without; no member or function of another scope."""
    return rf"(?<![\w.>:])(?:std::|::)?(?:{names})\s*\({arguments}"


WAIT = "wait on a condition, with a deadline"

CPP = (
    Ban(call("strerror(?:_r)?"), "throw Error, which names operation and cause"),
    Ban(call("close", r"\s*[^\s)]"), "own the descriptor with UniqueFd",
        exceptions={"backend/base/unique_fd.h": "the owner"}),
    Ban(call("(?:this_thread::)?(?:u|nano|clock_nano)?sleep(?:_for|_until)?"), WAIT,
        folder="tests/"),
    Ban(call("system|popen"), "run a program with GSubprocess",
        exceptions={"tests/netns/lab.cpp": "ip commands, as one would type them"}),
    Ban(call("ato(?:f|i|ll?)|strto(?:[fd]|u?ll?)|sto(?:[ifd]|u?ll?)"),
        "parse_number, which checks the whole text"),
    Ban(call("v?sprintf|strn?cpy|strn?cat"), "std::string and fmt::format"),
    Ban(call("s?rand"), "<random>"),
    Ban(r"\busing namespace std;", "name what is meant"),
    Ban(r"\bstd::(?:cout|cerr|clog)\b|\b(?:stdout|stderr)\b"
        r"|\bfmt::print\(|" + call("printf|puts|putchar|perror|g_print|g_printerr"),
        "log(), or print() in a program",
        not_in_programs=True,
        exceptions={"backend/base/output.cpp": "print() itself"}),
    # The socket API asks for the one; the others only make a number of an address.
    Ban(r"\breinterpret_cast\b(?!<(?:(?:const )?sockaddr\*|uintptr_t|uint64_t)>)",
        "a typed view, or std::bit_cast",
        exceptions={
            "backend/base/command_line.cpp": "GOption stores a callback as a gpointer",
            "tests/fakes/packed_driver_ring.cpp": "guest memory holds the ring",
            "tests/fakes/split_driver_ring.cpp": "guest memory holds the ring",
            "vhost/connection.cpp": "a message header is received as bytes",
            "vhost/packed_virtqueue.cpp": "guest memory holds the ring",
            "vhost/revoked_memory.cpp": "a signal handler computes the page to map",
            "vhost/split_virtqueue.cpp": "guest memory holds the ring",
        }),
)

PYTHON = (
    Ban(r"(?:time\.)?sleep", WAIT, folder="tests/",
        exceptions={"tests/vm/test_guest.py": "the length of a measurement"}),
    Ban(r"os\.(?:system|popen)", "subprocess.run"),
)

SHELL = (
    Ban(r"(?:^|[;&|(])\s*sleep\s", WAIT, folder="tests/"),
)


def stale_exceptions(texts):
    """(path, pattern) of exceptions that the file no longer needs; `texts` maps path to text."""
    return [(path, ban.pattern) for ban in (*CPP, *PYTHON, *SHELL) for path in ban.exceptions
            if not re.search(ban.pattern, texts.get(path, ""))]
