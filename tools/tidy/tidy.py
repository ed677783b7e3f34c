"""Checks the rules of the project's sources.

    python3 tools/tidy/tidy.py [ROOT]

Prints `file:line: what is wrong; what to do instead` and exits with 1 if there is anything
but warnings. The rules: who may include whom (layers.py); sizes, names, words and headers
(rules.py); Markdown (documents.py); the layout of C++ (clang-format).
"""

import os
import pathlib
import shutil
import subprocess
import sys

import documents
import layers
import rules
from problems import Problem, Source

CLANG_FORMAT = "clang-format-19"
# The inputs that fuzzers keep are bytes, whether or not they happen to be text.
SKIPPED_FOLDERS = {"build", "node_modules", "__pycache__", "corpus"}
# Recordings and pictures are data; their lines have no limit and their words no meaning.
SKIPPED_SUFFIXES = {".jsonl", ".svg", ".png", ".ico", ".pyc"}
# Programs that must not compile, or whose text is the test, keep their own layout.
UNFORMATTED = ("tests/compile_fail/",)


def read_sources(root):
    """Every text file below the root, except hidden folders, build trees and data."""
    sources = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS
                            and (not name.startswith(".") or name == ".ci"))
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            if path.suffix in SKIPPED_SUFFIXES:
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            sources.append(Source(path.relative_to(root).as_posix(), text))
    return sources


def check_format(root, sources):
    paths = [source.path for source in sources
             if source.is_cpp and not source.path.startswith(UNFORMATTED)]
    if not paths:
        return
    if not shutil.which(CLANG_FORMAT):
        yield Problem(".clang-format", 1, f"{CLANG_FORMAT} is not installed",
                      "install it to check the layout")
        return
    result = subprocess.run([CLANG_FORMAT, "--dry-run", *paths], cwd=root,
                            capture_output=True, text=True)
    first_lines = {}
    for line in result.stderr.splitlines():
        parts = line.split(":")
        if "clang-format-violations" in line and parts[0] in paths:
            first_lines.setdefault(parts[0], int(parts[1]))
    for path, line in first_lines.items():
        yield Problem(path, line, "the layout differs from .clang-format", "use ./run format")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    sources = read_sources(root)
    problems = [
        *layers.check(sources),
        *rules.check(sources),
        *documents.check(sources, lambda path: (root / path).exists()),
        *check_format(root, sources),
    ]
    for problem in sorted(problems, key=lambda p: (p.path, p.line)):
        print(problem)
    errors = sum(not problem.is_warning for problem in problems)
    print(f"tidy: {len(sources)} files, {errors} errors, {len(problems) - errors} warnings")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
