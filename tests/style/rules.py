"""The house style, one function a rule: a file's path and text in, findings out."""

import ast
import re

import bans
from functions import cpp_functions, python_functions
from sources import (Finding, cpp_code, find_all, is_code, is_cpp, is_header, is_python, is_shell,
                     line_of)

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
LINE_COLUMNS_MAX = 100

# What each folder may include besides itself. No arrows go back.
LAYERS = {
    "backend/base": (),
    "backend/doctor": ("backend/base", "backend"),
    "backend/verbs": ("backend/base", "backend", "backend/doctor"),
    "backend": ("backend/base",),
    "vhost": ("backend/base",),
    "iouring": ("backend/base", "backend", "vhost"),
    "xml": ("backend/base", "backend", "backend/verbs", "iouring"),
    "hooks/libvirt": ("backend/base", "backend", "backend/verbs", "iouring", "xml", "hooks"),
    "hooks": ("backend/base", "backend", "backend/verbs", "xml"),
    "tests": ("backend/base", "backend", "backend/doctor", "vhost", "iouring", "xml", "hooks",
              "hooks/libvirt"),
}
# Which folders may include a library that others must stay free of.
LIBRARIES = {
    "liburing": ("iouring", "tests"),
    "libvirt": ("hooks/libvirt", "tests"),  # A hook that calls libvirt waits for itself.
    "libxml": ("xml", "hooks", "hooks/libvirt", "tests"),
}
GENERATED_HEADERS = ("config.h",)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"(?P<ours>[^"]+)"|<(?P<system>[^>]+)>)',
                     re.MULTILINE)


def layer_of(path):
    return next((layer for layer in LAYERS if path.startswith(layer + "/")), None)


def includes(text):
    """(line, path, is ours) of each include; a path into our folders is ours in any brackets."""
    for match in INCLUDE.finditer(text):
        path = match["ours"] or match["system"]
        yield line_of(text, match.start()), path, bool(match["ours"] or layer_of(path))


def layer_order(path, text):
    layer = layer_of(path)
    if not is_cpp(path) or layer is None:
        return []
    findings = []
    for line, included, ours in includes(text):
        target = layer_of(included)
        if ours and target is None and included not in GENERATED_HEADERS:
            findings.append(Finding(path, line, f'"{included}": write the path from the root'))
        if target is not None and target not in (layer, *LAYERS[layer]):
            findings.append(Finding(path, line, f"{layer} may not use {target}"))
        library = next((name for name in LIBRARIES if included.startswith(name)), None)
        if not ours and library and layer not in LIBRARIES[library]:
            findings.append(Finding(path, line, f"{layer} may not use {library}"))
    return findings


def function_length(path, text):
    functions = (cpp_functions(text) if is_cpp(path) else
                 python_functions(text) if is_python(path, text) else [])
    return [Finding(path, function.first_line,
                    f"{function.name} has {function.lines} lines, over {FUNCTION_LINES_MAX}")
            for function in functions if function.lines > FUNCTION_LINES_MAX]


def file_length(path, text):
    lines = text.count("\n")
    if is_code(path, text) and lines > FILE_LINES_MAX:
        return [Finding(path, FILE_LINES_MAX, f"{lines} lines, over {FILE_LINES_MAX}")]
    return []


def line_length(path, text):
    if not is_code(path, text):
        return []
    return find_all(rf"^.{{{LINE_COLUMNS_MAX + 1}}}", path, text,
                    f"over {LINE_COLUMNS_MAX} columns")


def banned_calls(path, text):
    if is_cpp(path):
        code = cpp_code(text)
        is_program = re.search(r"^int main\(", code, re.MULTILINE)
        return [finding for ban in bans.CPP
                if ban.applies_to(path) and not (is_program and ban.not_in_programs)
                for finding in find_all(ban.pattern, path, code, f"instead: {ban.instead}")]
    if is_python(path, text):
        return [Finding(path, node.lineno, f"instead: {ban.instead}")
                for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)
                for ban in bans.PYTHON
                if ban.applies_to(path) and re.fullmatch(ban.pattern, ast.unparse(node.func))]
    if is_shell(path, text):
        return [finding for ban in bans.SHELL if ban.applies_to(path)
                for finding in find_all(ban.pattern, path, text, f"instead: {ban.instead}")]
    return []


def header_opening(path, text):
    if is_header(path) and not re.match(r"//[^\n]*\w[^\n]*\n(?://[^\n]*\n)*#pragma once\n", text):
        return [Finding(path, 1, "open with a comment on its purpose, then #pragma once")]
    return []


def reason_for_todo(path, text):
    return find_all(r"\b(?:TODO|FIXME|XXX)\b(?!\([^)]*\w[^)]*\))", path, text,
                    "give the reason in parentheses right behind the word")


TAB_INDENTED = ("Makefile", "packaging/debian/rules")
ODD_ON_PURPOSE = "tests/domains/"  # Their bytes are what is tested.


def whitespace(path, text):
    if path.startswith(ODD_ON_PURPOSE):
        return []
    findings = find_all(r"[ \t\r]+$", path, text, "trailing whitespace")
    if path not in TAB_INDENTED:
        findings += find_all(r"\t", path, text, "tab")
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        findings.append(Finding(path, line_of(text, len(text)), "end with exactly one newline"))
    return findings


HISTORY = (r"(?i:\b(?:author|copyright|created (?:by|on))\b)|[\w.]@\w+\.\w"
           r"|\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b")


def leading_comment(path, text):
    """Version control knows name, author and date; a comment that repeats them goes stale."""
    if not is_code(path, text):
        return []
    opening = re.match(r"(?:#!.*\n)?((?://.*\n)+|/\*(?:.|\n)*?\*/|(?:#(?!pragma|include).*\n)+)?",
                       text).group()
    name = path.rpartition("/")[2]
    words = HISTORY + (rf"|(?<![\w./-]){re.escape(name)}\b" if "." in name else "")
    return find_all(words, path, opening, "no file name, author or date in the opening comment")


def machine_paths(path, text):
    return find_all(r"(?<![\w.$}/])/(?:work|farm|workspace|Users)\b", path, text,
                    "a path that exists on one machine only")


RULES = (layer_order, function_length, file_length, line_length, banned_calls, header_opening,
         reason_for_todo, whitespace, leading_comment, machine_paths)


# Rules that look at one file in the light of others.

def listed_in_meson(path, text, builds):
    """`builds` maps the folder of each meson.build to its text, where a table may list a program
    as 'pump-test' or 'pump_test'."""
    if not path.endswith(".cpp"):
        return []
    for folder, build in builds.items():
        if not folder or path.startswith(folder + "/"):
            name = path[len(folder):].lstrip("/")
            stem = name.removesuffix(".cpp")
            if any(f"'{listed}'" in build for listed in (name, stem, stem.replace("_", "-"))):
                return []
    return [Finding(path, 1, "no meson.build of its folder or one above lists it")]


def used_header(path, text, included):
    """`included` holds every path that some file includes."""
    if is_header(path) and path not in included:
        return [Finding(path, 1, "nothing includes it")]
    return []
