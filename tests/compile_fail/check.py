"""Compiles a program that must not compile, and checks what the compiler says.

    check.py COMPILER FILE.cpp [FLAG...]

The file begins with lines `// expect: REGEX`, each to be found in the compiler's messages
with every run of white space read as one blank. A line `// flags: FLAG...` after them adds
flags, such as -Werror for a program that must not compile without a warning.
"""

import pathlib
import re
import subprocess
import sys


def read_directives(text):
    """The expected patterns and the additional flags a program asks for."""
    lines = iter(text.splitlines() + [""])
    expected = []
    for line in lines:
        if not line.startswith("// expect: "):
            break
        expected.append(line.removeprefix("// expect: ").strip())
    if not expected:
        sys.exit("the first line must be: // expect: REGEX")
    flags = line.removeprefix("// flags: ").split() if line.startswith("// flags: ") else []
    return expected, flags


def main():
    compiler, source, *flags = sys.argv[1:]
    expected, more_flags = read_directives(pathlib.Path(source).read_text())
    command = [compiler, "-std=c++20", "-fsyntax-only", *flags, *more_flags, source]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 0:
        sys.exit(f"{source} compiles, but it must not")
    messages = " ".join(result.stderr.split())
    for pattern in expected:
        # Compilers echo source lines after the message; the directive itself is no message.
        if not re.search(pattern, messages.replace(f"// expect: {pattern}", "")):
            sys.exit(f"{source} fails to compile, but no message matches: {pattern}\n\n"
                     + result.stderr)


if __name__ == "__main__":
    main()
