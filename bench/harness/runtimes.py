"""The runtimes: the floor, ours and the peers; how each is built and how much work it gets.

Every runtime is one program with the arguments ROW OPERATIONS [SECONDS]; for the rows of the
network there is another one each, see network.py, and for those of executors of two, see
executors.py. A runtime that has nothing like a row leaves it
out of its `work`. Slow ones get fewer operations, so that a run takes about half a second;
operations that a row counts one by one do not change its result.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from harness import packages

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
OUTPUT = ROOT / "build" / "bench"
INCLUDE_FOLDERS = (Path("/usr/include"), Path("/usr/local/include"))
BUILD_TIMEOUT_S = 1200


class Unavailable(Exception):
    """The runtime cannot be had on this machine; the text is the reason."""


@dataclass(frozen=True)
class Runtime:
    name: str
    title: str
    build: Callable  # Returns the command to which the row is appended, or raises Unavailable.
    # Row: number of operations, or (number of sleepers, seconds that each sleeps), or a server's
    # arguments for each level.
    work: dict


def build_with(command, log_name, **options):
    """Runs one build command with its output in a log file that a failure names."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    log_path = OUTPUT / f"{log_name}.log"
    with open(log_path, "w") as log:
        try:
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=BUILD_TIMEOUT_S,
                **options,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(str(error)) from error
    if result.returncode != 0:
        raise Unavailable(f"does not build, see {log_path.relative_to(ROOT)}")


class CppBuild:
    """One CMake tree for all C++ programs: the release preset, or a tree given by the user."""

    def __init__(self, tree):
        self.tree = Path(tree).resolve() if tree else ROOT / "build" / "release"
        self.uses_preset = tree is None
        self.is_configured = False
        self.failure = None

    def target(self, name):
        def build():
            self.configure()
            build_with(["cmake", "--build", str(self.tree), "--target", name], name)
            return [str(self.tree / "bin" / name)]

        return build

    def peer(self, name, header, package):
        def is_present():
            return any((base / header).exists() for base in INCLUDE_FOLDERS)

        def build():
            if not packages.require(is_present, package, f"{name} is built with it"):
                raise Unavailable(f"{header} not found")
            return self.target(name)()

        return build

    def configure(self):
        """Once for all targets: what has failed for one would fail for the next."""
        if self.failure is not None:
            raise self.failure
        if self.is_configured:
            return
        try:
            require_toolchain()
            # Peers' headers may have been installed a moment ago, so CMake looks again each time.
            command = ["--preset", "release"] if self.uses_preset else [str(self.tree)]
            build_with(["cmake"] + command, "configure", cwd=ROOT)
        except Unavailable as failure:
            self.failure = failure
            raise
        self.is_configured = True


def require_toolchain():
    for program, package in (
        ("clang++-19", "clang-19"),
        ("cmake", "cmake"),
        ("ninja", "ninja-build"),
    ):
        present = packages.require(
            lambda: shutil.which(program), package, "the C++ programs are built with it"
        )
        if not present:
            raise Unavailable(f"{program} not found")


def cargo_program(name, folder):
    """Builds the program of this name out of the sources in the folder."""

    def build():
        if shutil.which("cargo") is None:
            raise Unavailable("cargo not found")
        # Cargo writes the versions it has chosen beside the sources, so it works on a copy of them.
        sources = OUTPUT / f"{name}_sources"
        shutil.copytree(folder, sources, dirs_exist_ok=True)
        # Without a network cargo would try for minutes.
        patience = {"CARGO_NET_RETRY": "1", "CARGO_HTTP_TIMEOUT": "15"}
        environment = dict(os.environ, CARGO_TARGET_DIR=str(OUTPUT / "tokio"), **patience)
        command = ["cargo", "build", "--release"]
        try:
            # What cargo has already fetched needs no network.
            build_with(command + ["--offline"], name, cwd=sources, env=environment)
        except Unavailable:
            build_with(command, name, cwd=sources, env=environment)
        return [str(OUTPUT / "tokio" / "release" / name)]

    return build


def go_program(name, folder):
    """Builds the program of this name out of the sources in the folder."""

    def build():
        if shutil.which("go") is None:
            raise Unavailable("go not found")
        # The installed compiler, whatever its version: a newer one is not to be fetched.
        environment = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=mod")
        command = ["go", "build", "-o", str(OUTPUT / name), "."]
        build_with(command, name, cwd=folder, env=environment)
        return [str(OUTPUT / name)]

    return build


def system_python():
    """The distribution's own interpreter: the one for which its packages are built."""
    return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


def python_program(name, script):
    """The command of a script on asyncio or uvloop."""

    def build():
        def is_present():
            return packages.succeeds([system_python(), "-c", f"import {name}"], os.environ)

        if not packages.require(is_present, f"python3-{name}", f"{name} is a peer"):
            raise Unavailable(f"{name} not found")
        return [system_python(), str(script), name]

    return build


BARE = {
    "spawn": 20_000_000,
    "switch": 100_000_000,
    "switch1": 50_000_000,
    "await": 50_000_000,
    "sleepers": (1_000_000, 2),
    "sleeps": 1_000_000,
    "timers": 100_000_000,
    "lock": 100_000_000,
    "semaphore": 100_000_000,
    "queue": 50_000_000,
    "lock_contended": 50_000_000,
    "semaphore_contended": 50_000_000,
    "pingpong": 10_000_000,
    "timeout": 10_000_000,
    "group": 10_000_000,
}

PYTHON = {
    "spawn": 100_000,
    "switch": 400_000,
    "switch1": 200_000,
    "await": 2_600_000,
    "sleepers": (1_000_000, 3),
    "sleeps": 100_000,
    "timers": 200_000,
    "lock": 1_000_000,
    "semaphore": 1_000_000,
    "queue": 500_000,
    "lock_contended": 200_000,
    "semaphore_contended": 200_000,
    "pingpong": 100_000,
    "timeout": 200_000,
    "group": 100_000,
}


def without(row, work):
    return {name: operations for name, operations in work.items() if name != row}


def all_runtimes(cpp):
    return (
        Runtime("floor", "floor", cpp.target("bench_floor"), without("group", BARE)),
        Runtime("ours", "ours", cpp.target("bench_ours"), BARE),
        Runtime(
            "asio",
            "Asio",
            cpp.peer("bench_asio", "asio.hpp", "libasio-dev"),
            {
                "spawn": 1_000_000,
                "switch": 4_000_000,
                "switch1": 4_000_000,
                "await": 13_000_000,
                "sleepers": (1_000_000, 10),
                "sleeps": 1_000_000,
                "timers": 4_000_000,
                "queue": 2_000_000,
                "pingpong": 1_000_000,
            },
        ),
        Runtime(
            "libuv",
            "libuv",
            cpp.peer("bench_libuv", "uv.h", "libuv1-dev"),
            {
                "sleepers": (1_000_000, 3),
                "sleeps": 1_000_000,
                "timers": 10_000_000,
            },
        ),
        Runtime(
            "tokio",
            "tokio",
            cargo_program("bench_tokio", PEERS / "tokio"),
            {
                "spawn": 3_000_000,
                "switch": 10_000_000,
                "switch1": 3_000_000,
                "await": 25_000_000,
                "sleepers": (1_000_000, 5),
                "sleeps": 1_000_000,
                "timers": 5_000_000,
                "lock": 10_000_000,
                "semaphore": 10_000_000,
                "queue": 5_000_000,
                "lock_contended": 5_000_000,
                "semaphore_contended": 5_000_000,
                "pingpong": 2_000_000,
                "timeout": 10_000_000,
                "group": 2_000_000,
            },
        ),
        Runtime(
            "go",
            "Go",
            go_program("bench_go", PEERS / "go"),
            {
                "spawn": 2_000_000,
                "switch": 6_000_000,
                "switch1": 6_000_000,
                # Starting a million goroutines takes long; all of them are to sleep at once.
                "sleepers": (1_000_000, 20),
                "sleeps": 1_000_000,
                "timers": 3_000_000,
                "lock": 30_000_000,
                "semaphore": 10_000_000,
                "queue": 10_000_000,
                "lock_contended": 30_000_000,
                "semaphore_contended": 5_000_000,
                "pingpong": 2_000_000,
                "timeout": 1_000_000,
            },
        ),
        Runtime("asyncio", "asyncio", python_program("asyncio", PEERS / "python.py"), PYTHON),
        Runtime("uvloop", "uvloop", python_program("uvloop", PEERS / "python.py"), PYTHON),
    )
