"""Fails when including one header makes the compiler read too much.

The measure is the number of declarations in the compiler's tree, as a multiple of what standard
headers that any such library needs declare. It says what seconds would say, and no busy machine
changes it: 1.5 times the declarations are about 1.5 times the seconds.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

STANDARD_HEADERS = ("coroutine", "chrono", "functional", "string", "vector", "memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", required=True, help="a clang, which counts what it reads")
    parser.add_argument("--include", required=True)
    parser.add_argument("--header", required=True)
    parser.add_argument("--budget", type=float, required=True,
                        help="multiple of the standard headers' declarations")
    options = parser.parse_args()

    def declarations_of(*headers):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "include.cpp")
            source.write_text("".join(f"#include <{header}>\n" for header in headers))
            result = subprocess.run(
                [options.compiler, "-std=c++20", "-fsyntax-only", "-DASYNCIO_STATIC",
                 "-I", options.include, "-Xclang", "-print-stats", str(source)],
                check=True, stderr=subprocess.PIPE, text=True)
        return int(re.search(r"(\d+) decls total", result.stderr).group(1))

    standard = declarations_of(*STANDARD_HEADERS)
    declarations = declarations_of(options.header)
    multiple = declarations / standard
    print(f"<{options.header}>: {declarations:,} declarations, {multiple:.2f} times the standard "
          f"headers' {standard:,}; at most {options.budget:.2f} times")
    if multiple > options.budget:
        sys.exit("Too many: look at the compiler's -ftime-trace for the header to leave out.")


if __name__ == "__main__":
    main()
