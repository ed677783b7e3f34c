"""Fails when including one header costs more CPU time than its budget."""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile

RUNS = 5


def user_seconds(command):
    """The user CPU time of one run of the command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--header", required=True)
    parser.add_argument("--budget", type=float, required=True, help="seconds")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "include.cpp")
        source.write_text(f"#include <{options.header}>\n")
        command = [options.compiler, "-std=c++20", "-fsyntax-only", "-DASYNCIO_STATIC",
                   "-I", options.include, str(source)]
        # The fastest of several runs is the one the machine disturbed least.
        best = min(user_seconds(command) for _ in range(RUNS))

    print(f"<{options.header}>: {best:.2f} s of {options.budget:.2f} s")
    if best > options.budget:
        sys.exit("Too slow: look at the compiler's -ftime-trace for the header to leave out.")


if __name__ == "__main__":
    main()
