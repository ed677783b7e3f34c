"""The rows of the network: servers under a load, and programs that are started.

A server prints "port N" and serves until it is killed; the load client starts it, measures, and
prints a line for each number of each cell. What a runtime serves may differ by level: protocols
on transports, or coroutines on streams.
"""

import os

from harness import packages
from harness.rows import BEST_PEER, Metric, Row
from harness.runtimes import (
    OUTPUT,
    ROOT,
    Runtime,
    Unavailable,
    build_with,
    cargo_program,
    go_program,
    python_program,
)

SOURCES = ROOT / "bench" / "network"
PROGRAMS = 1000
CERTIFICATE = OUTPUT / "certificate.pem"

SIZES = ((64, "64 B"), (1024, "1 KiB"), (65536, "64 KiB"))
LEVELS = (("transport", 1.05), ("streams", 1.15))


def metrics(row, what, connection_counts):
    """CPU of the server and latency, level by level; budgets are for 100 connections."""
    for size, size_title in SIZES:
        for connections in connection_counts:
            is_judged = connections == 100
            rival = BEST_PEER if is_judged else None
            plural = "s" if connections > 1 else ""
            cell = f"{what}, {size_title}, {connections:,} connection{plural}"
            for level, budget in LEVELS:
                key = f"{row}_{level}_{size}_{connections}"
                title = f"{cell}, {level}"
                allowed = budget if is_judged else None
                yield Metric(f"{key}_cpu_us", f"{title}: CPU", "us", allowed)
                yield Metric(f"{key}_p99_us", f"{title}: p99", "us", rival=rival)


ROWS = (
    Row("echo", tuple(metrics("echo", "echo", (1, 100, 1000))), cores=2, may_share_cores=True),
    Row("tls", tuple(metrics("tls", "TLS", (100,))), cores=2, may_share_cores=True),
    Row(
        "subprocess",
        (
            Metric("subprocess_us", "a program of 1,000, 8 at once; time", "us", rival="asyncio"),
            Metric("subprocess_cpu_us", "the same; CPU of the parent", "us", rival="asyncio"),
        ),
        cores=2,
        may_share_cores=True,
    ),
)


def same(row):
    """For what has one way to serve."""
    return {level: (row,) for level, _ in LEVELS}


def each(row):
    """For what has both levels."""
    return {level: (row, level) for level, _ in LEVELS}


def build_load(cpp):
    """The command of the load client; makes the certificate that servers show."""
    command = cpp.target("bench_load")()
    if not CERTIFICATE.exists():
        make_certificate()
    os.environ["BENCH_CERTIFICATE"] = str(CERTIFICATE)
    return command


def make_certificate():
    def is_present():
        return packages.succeeds(["openssl", "version"], os.environ)

    if not packages.require(is_present, "openssl", "it makes the servers' certificate"):
        raise Unavailable("openssl not found")
    key = OUTPUT / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "3650", "-subj", "/CN=localhost"]
    command += ["-keyout", str(key), "-out", str(OUTPUT / "public.pem")]
    build_with(command, "certificate")
    CERTIFICATE.write_text((OUTPUT / "public.pem").read_text() + key.read_text())


def all_runtimes(cpp):
    floor = {"echo": same("echo"), "tls": same("tls"), "subprocess": PROGRAMS}
    ours = {"echo": each("echo"), "tls": each("tls"), "subprocess": PROGRAMS}
    asio = {"echo": same("echo"), "tls": same("tls")}
    only_echo = {"echo": same("echo")}
    script = SOURCES / "python.py"
    return (
        Runtime("floor", "floor", cpp.target("bench_network_floor"), floor),
        Runtime("ours", "ours", cpp.target("bench_network_ours"), ours),
        Runtime("asio", "Asio", cpp.peer("bench_network_asio", "asio.hpp", "libasio-dev"), asio),
        Runtime(
            "libuv", "libuv", cpp.peer("bench_network_libuv", "uv.h", "libuv1-dev"), only_echo
        ),
        Runtime(
            "tokio",
            "tokio",
            cargo_program("bench_network_tokio", SOURCES / "tokio"),
            only_echo,
        ),
        Runtime("go", "Go", go_program("bench_network_go", SOURCES / "go"), floor),
        Runtime("asyncio", "asyncio", python_program("asyncio", script), ours),
        Runtime("uvloop", "uvloop", python_program("uvloop", script), ours),
    )
