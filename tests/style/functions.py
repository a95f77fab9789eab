"""Where functions begin and end. C++ is matched by its braces, relying on clang-format: the brace
of an initializer touches what it initializes, the brace of a body does not."""

import ast
import re
import typing

from sources import cpp_code, line_of


class Function(typing.NamedTuple):
    name: str
    first_line: int
    last_line: int

    @property
    def lines(self):
        return self.last_line - self.first_line + 1


PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.)*", re.MULTILINE | re.DOTALL)
LABELS = re.compile(r"\s*(?:(?:public|protected|private):\s*)*")
ATTRIBUTES = re.compile(r"\[\[.*?\]\]|(?:alignas|__attribute__)\s*\((?:[^()]|\([^()]*\))*\)")
TEMPLATE = re.compile(r"template <[^\n]*>\s")
SCOPE = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b")
OPERATOR = re.compile(r"\boperator\s*[^\s(]+")
NAME = re.compile(r"\boperator\s*[^\s(]+|[\w:~]+(?=\s*\(| = \[)")


def cpp_functions(text):
    code = PREPROCESSOR.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), cpp_code(text))
    functions = []
    head_start = position = 0
    while mark := re.compile(r"[{};]").search(code, position):
        position = mark.end()
        head = code[head_start:mark.start()]
        if mark.group() != "{":
            head_start = position
        elif is_initializer(head):
            position = after_block(code, position)
        elif opens_scope(head):
            head_start = position
        else:
            position = after_block(code, position)
            if is_function(head):
                start = head_start + LABELS.match(head).end()
                name = NAME.search(ATTRIBUTES.sub("", head))
                functions.append(Function(name.group(),
                                          line_of(code, start), line_of(code, position - 1)))
            head_start = position
    return functions


def is_initializer(head):
    return not head[-1:].isspace() or head.count("(") > head.count(")")


def opens_scope(head):
    head = ATTRIBUTES.sub("", TEMPLATE.sub("", head))
    return "(" not in head and SCOPE.search(head) is not None


def is_function(head):
    """A definition with a parameter list, or a named lambda; not a table of values."""
    outside = OPERATOR.sub("", TEMPLATE.sub("", head))
    while (shorter := re.sub(r"\([^()]*\)", "", outside)) != outside:
        outside = shorter
    _, assigned, value = outside.partition("=")
    return value.lstrip().startswith("[") if assigned else "(" in head


def after_block(code, position):
    depth = 1
    while depth and (brace := re.compile(r"[{}]").search(code, position)):
        depth += 1 if brace.group() == "{" else -1
        position = brace.end()
    return position


def python_functions(text):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [Function(node.name, node.lineno, node.end_lineno)
            for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
