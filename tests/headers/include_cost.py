"""Fails when including one header costs more CPU time than its budget."""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile

RUNS = 5

# The budget is in seconds of the machine that it was set on, where the standard headers that any
# such library needs cost this much. A slower or busier machine gets proportionally more.
STANDARD_HEADERS = ("coroutine", "chrono", "functional", "string", "vector", "memory")
STANDARD_SECONDS = 0.51


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
        def cost_of(*headers):
            source = pathlib.Path(folder, "include.cpp")
            source.write_text("".join(f"#include <{header}>\n" for header in headers))
            return user_seconds([options.compiler, "-std=c++20", "-fsyntax-only",
                                 "-DASYNCIO_STATIC", "-I", options.include, str(source)])

        # In turns, and the fastest of several runs: the one the machine disturbed least.
        runs = [(cost_of(*STANDARD_HEADERS), cost_of(options.header)) for _ in range(RUNS)]
    standard, best = (min(column) for column in zip(*runs))
    budget = options.budget * max(1.0, standard / STANDARD_SECONDS)

    print(f"<{options.header}>: {best:.2f} s of {budget:.2f} s; "
          f"the standard headers alone {standard:.2f} s")
    if best > budget:
        sys.exit("Too slow: look at the compiler's -ftime-trace for the header to leave out.")


if __name__ == "__main__":
    main()
