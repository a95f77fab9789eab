"""The files of the repository, and C++ text without what only looks like code."""

import functools
import pathlib
import re
import subprocess
import typing

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Finding(typing.NamedTuple):
    path: str
    line: int
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


class Source(typing.NamedTuple):
    path: str
    text: str


@functools.cache
def sources():
    """Every text file that is tracked, or would be by `git add .`."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout
    found = []
    for path in sorted(filter(None, listed.split("\0"))):
        file = ROOT / path
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            if b"\0" not in data:
                found.append(Source(path, data.decode()))
    return found


def is_header(path):
    return path.endswith(".h")


def is_cpp(path):
    return path.endswith((".h", ".cpp"))


def is_meson(path):
    return path.rpartition("/")[2] in ("meson.build", "meson_options.txt")


def is_python(path, text):
    return path.endswith(".py") or bool(re.match(r"#!.*\bpython", text))


def is_shell(path, text):
    return path.endswith(".sh") or bool(re.match(r"#!.*\b(ba)?sh\b", text))


def is_code(path, text):
    return is_cpp(path) or is_meson(path) or is_python(path, text) or is_shell(path, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def find_all(pattern, path, text, message):
    return [Finding(path, line_of(text, match.start()), message)
            for match in re.finditer(pattern, text, re.MULTILINE)]


# A quote after a digit separates digits: 1'000.
NOT_CODE = re.compile(
    r"""//[^\n]*
    |   /\*.*?\*/
    |   R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"
    |   "(?:\\.|[^"\\\n])*"
    |   (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'
    """, re.DOTALL | re.VERBOSE)


def cpp_code(text):
    """`text` with comments and the insides of literals blanked, every line where it was."""
    def blank(match):
        token = match.group()
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + re.sub(r"[^\n]", " ", token[1:-1]) + token[-1]
    return NOT_CODE.sub(blank, text)
