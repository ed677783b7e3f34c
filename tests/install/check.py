"""Builds and runs an outside project in the three ways users reach the library.

It installs the build tree into a folder of its own, then uses find_package, pkg-config
and add_subdirectory. Every program must print 42.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

OUTSIDE = pathlib.Path(__file__).resolve().parent / "outside"


def run(command, **keywords):
    """Runs a command and returns what it printed; its failure ends the test."""
    command = [str(part) for part in command]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, **keywords)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}\n{result.stdout}")
    return result.stdout


def check_program(way, program):
    output = run([program]).strip()
    if output != "42":
        sys.exit(f"{way}: {program} printed {output!r} instead of 42")
    print(f"{way}: {pathlib.Path(program).name} works")


def check_cmake(way, options, arguments):
    build = options.work / way
    run([options.cmake, "-S", OUTSIDE, "-B", build, "-G", "Ninja",
         f"-DCMAKE_CXX_COMPILER={options.compiler}", "-DCMAKE_CXX_FLAGS=-O0",
         f"-DCOMPONENTS={';'.join(options.components)}", *arguments])
    run([options.cmake, "--build", build, "-j", "2"])
    for name in programs(options):
        check_program(way, build / name)


def check_pkg_config(options, prefix):
    folders = [str(path.parent) for path in prefix.rglob("*.pc")]
    environment = {**os.environ, "PKG_CONFIG_PATH": ":".join(folders)}
    for name in programs(options):
        package = name.replace("sum_", "asyncio-") if name != "sum" else "asyncio"
        flags = run(["pkg-config", "--cflags", "--libs", package], env=environment).split()
        libraries = [flag for flag in flags if flag.startswith("-L")]
        program = options.work / f"pkg-config-{name}"
        run([options.compiler, "-std=c++20", OUTSIDE / f"{name}.cpp", "-o", program, *flags,
             *(f"-Wl,-rpath,{flag[2:]}" for flag in libraries)])
        check_program("pkg-config", program)


def programs(options):
    return ["sum", *(f"sum_{component}" for component in options.components)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--components", nargs="*", default=[])
    options = parser.parse_args()

    shutil.rmtree(options.work, ignore_errors=True)
    prefix = options.work / "prefix"
    run([options.cmake, "--install", options.build, "--prefix", prefix])
    check_cmake("find_package", options, [f"-DCMAKE_PREFIX_PATH={prefix}"])
    check_pkg_config(options, prefix)
    check_cmake("add_subdirectory", options, [f"-DASYNCIO_SOURCE={options.source}"])


if __name__ == "__main__":
    main()
