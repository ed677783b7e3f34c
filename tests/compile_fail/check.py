"""Compiles a program that must not compile, and checks what the compiler says.

    check.py COMPILER FILE.cpp [FLAG...]

The file's first line is `// expect: REGEX`, to be found in the compiler's messages with
every run of white space read as one blank. A second line `// flags: FLAG...` adds flags,
such as -Werror for a program that must not compile without a warning.
"""

import pathlib
import re
import subprocess
import sys


def read_directives(text):
    """The expected pattern and the additional flags a program asks for."""
    lines = text.splitlines() + ["", ""]
    if not lines[0].startswith("// expect: "):
        sys.exit("the first line must be: // expect: REGEX")
    flags = []
    if lines[1].startswith("// flags: "):
        flags = lines[1].removeprefix("// flags: ").split()
    return lines[0].removeprefix("// expect: ").strip(), flags


def main():
    compiler, source, *flags = sys.argv[1:]
    expected, more_flags = read_directives(pathlib.Path(source).read_text())
    command = [compiler, "-std=c++20", "-fsyntax-only", *flags, *more_flags, source]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 0:
        sys.exit(f"{source} compiles, but it must not")
    # Compilers echo source lines after the message; the directive itself is no message.
    messages = result.stderr.replace(f"// expect: {expected}", "")
    if not re.search(expected, " ".join(messages.split())):
        sys.exit(f"{source} fails to compile, but no message matches: {expected}\n\n"
                 + result.stderr)


if __name__ == "__main__":
    main()
