"""The rows of executors: calls to a loop's thread, and calls that it makes in others, and in
processes. The peers' programs are those of the first suite.
"""

from harness.rows import Metric, Row
from harness.runtimes import PEERS, Runtime, cargo_program, go_program, python_program


def row(name, title, unit, budget=None, cores=2):
    """A row of one number."""
    return Row(name, (Metric(f"{name}_{unit}", title, unit, budget),), cores)


# Nine tenths of two processors: 1.8 times as fast as one.
TWO_CORES = 1 / 0.9

ROWS = (
    row("threadsafe", "callback from another thread, two cores", "ns", 2.0),
    row("thread_call", "call in a thread, two cores; a round trip", "us", 2.0),
    row("thread_call_one_core", "the same, one core", "us", 1.5, cores=1),
    row("thread_mib", "1 MiB moved to a thread and back", "us"),
    row("thread_map", "map of 1,000 empty calls, a thread; a call", "us"),
    row("process_call", "call in a process, two cores; a round trip", "us", 1.5),
    row("process_call_one_core", "the same, one core", "us", 1.5, cores=1),
    row("process_mib", "1 MiB to a process and back", "us", 2.0),
    row("process_map", "map of 1,000 empty calls, a process, 50 a message; a call", "us"),
    Row(
        "primes",
        tuple(
            Metric(
                f"primes_{kind}_ms",
                f"64 counts of primes, two {kind}, half of a loop's time as the floor",
                "ms",
                TWO_CORES,
                floor_of_ours="half_ms",
            )
            for kind in ("threads", "processes")
        ),
        cores=2,
    ),
)

BARE = {
    "threadsafe": 1_000_000,
    "thread_call": 200_000,
    "thread_call_one_core": 100_000,
    "thread_mib": 200_000,
    "thread_map": 1_000_000,
    "process_call": 10_000,
    "process_call_one_core": 20_000,
    "process_mib": 3_000,
}

OURS = {**BARE, "process_map": 500_000, "primes": 5}

THREADS = {
    "threadsafe": 1_000_000,
    "thread_call": 20_000,
    "thread_call_one_core": 50_000,
    "thread_mib": 20_000,
}

LIBUV = {name: THREADS[name] for name in ("threadsafe", "thread_call", "thread_call_one_core")}

PYTHON = {
    "threadsafe": 100_000,
    "thread_call": 10_000,
    "thread_call_one_core": 10_000,
    "thread_mib": 10_000,
    "thread_map": 50_000,
    "process_call": 3_000,
    "process_call_one_core": 3_000,
    "process_mib": 200,
    "process_map": 100_000,
}


def all_runtimes(cpp):
    script = PEERS / "python.py"
    return (
        Runtime("floor", "floor", cpp.target("bench_executors_floor"), BARE),
        Runtime("ours", "ours", cpp.target("bench_executors_ours"), OURS),
        Runtime("asio", "Asio", cpp.peer("bench_asio", "asio.hpp", "libasio-dev"), THREADS),
        Runtime("libuv", "libuv", cpp.peer("bench_libuv", "uv.h", "libuv1-dev"), LIBUV),
        Runtime("tokio", "tokio", cargo_program("bench_tokio", PEERS / "tokio"), THREADS),
        Runtime("go", "Go", go_program("bench_go", PEERS / "go"), THREADS),
        Runtime("asyncio", "asyncio", python_program("asyncio", script), PYTHON),
        Runtime("uvloop", "uvloop", python_program("uvloop", script), PYTHON),
    )
