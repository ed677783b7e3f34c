"""Sizes, names, words and headers."""

import posixpath
import re

import cpp
from problems import Problem

LINE_MAX = 100
FILE_MAX = 800
FILE_WARN = 500
FUNCTION_MAX = 70
MACROS_MAX = 10

CODE = {".hpp", ".cpp", ".c", ".py", ".sh", ".mjs", ".js", ".ts", ".css", ".cmake"}
CODE_NAMES = {"CMakeLists.txt", "run"}

# Spelled in two halves, so that this file obeys its own rule.
BANNED_WORDS = ["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]
BANNED_NAMES = {"utils", "util", "misc", "common", "helpers", "helper"}

# Exceptions: what is excused, and why.
LONG_FUNCTIONS = {}
LONG_FILES = {"tests/conformance/reference.py": "it defines one language"}
OTHER_MACROS = {
    "include/asyncio/testing/gtest.hpp": "its macros extend GoogleTest's own vocabulary",
}


def is_code(source):
    return source.suffix in CODE or posixpath.basename(source.path) in CODE_NAMES


def check(sources):
    for source in sources:
        yield from check_names(source)
        yield from check_words(source)
        yield from check_spaces(source)
        if is_code(source):
            yield from check_sizes(source)
        if source.is_cpp:
            yield from check_functions(source)
        if source.suffix == ".hpp":
            yield from check_header(source)
    yield from check_macros(sources)


def check_names(source):
    for part in source.path.split("/"):
        if part.split(".")[0] in BANNED_NAMES:
            yield Problem(source.path, 1, f"'{part}' says nothing about what it holds",
                          "name the one thing it does")


def check_words(source):
    pattern = re.compile(rf"\b({'|'.join(BANNED_WORDS)})\b")
    for number, line in enumerate(source.lines, 1):
        if match := pattern.search(line):
            yield Problem(source.path, number, f"contains {match.group()}",
                          "do it, or open an issue")


def check_spaces(source):
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield Problem(source.path, number, "ends in white space", "remove it")
    if source.text and not source.text.endswith("\n"):
        yield Problem(source.path, len(source.lines), "has no newline at its end", "add one")


def check_sizes(source):
    for number, line in enumerate(source.lines, 1):
        if len(line) > LINE_MAX:
            yield Problem(source.path, number, f"{len(line)} columns",
                          f"break the line at {LINE_MAX}")
    length = source.text.count("\n")
    if length > FILE_WARN and source.path not in LONG_FILES:
        yield Problem(source.path, length, f"{length} lines",
                      f"split the file; aim at 200 lines, {FILE_MAX} is the limit",
                      is_warning=length <= FILE_MAX)


def check_functions(source):
    for line, length, name in cpp.functions(source.text):
        if length > FUNCTION_MAX and (source.path, name) not in LONG_FUNCTIONS:
            yield Problem(source.path, line, f"{name} has {length} lines",
                          f"split it; {FUNCTION_MAX} is the limit")


def check_header(source):
    if not re.search(r"^#pragma once$", source.text, re.MULTILINE):
        yield Problem(source.path, 1, "has no #pragma once", "add it below the first comment")
    opening = re.match(r"(?:#pragma once\n+)?((?://[^\n]*\n)+)", source.text)
    if not opening or "." not in opening.group(1):
        yield Problem(source.path, 1, "does not begin with a sentence about its purpose",
                      "start with a comment: what is this header for?")
    code = cpp.blank(source.text)
    for match in re.finditer(r"\busing\s+namespace\b", code):
        yield Problem(source.path, code.count("\n", 0, match.start()) + 1,
                      "using namespace in a header", "name what is needed, or qualify it")


def check_macros(sources):
    """The public headers' macros have the project's prefix, and are few."""
    names = {}
    for source in sources:
        if not source.path.startswith("include/") or source.path in OTHER_MACROS:
            continue
        for line, name in cpp.macros(source.text):
            if not name.startswith("ASYNCIO_"):
                yield Problem(source.path, line, f"the macro {name} may clash with a user's",
                              "use a function or a constant, or the prefix ASYNCIO_")
            names.setdefault(name, (source.path, line))
    if len(names) > MACROS_MAX:
        path, line = list(names.values())[-1]
        yield Problem(path, line, f"{len(names)} macros in the public headers: "
                      + ", ".join(sorted(names)), f"{MACROS_MAX} are the limit")
