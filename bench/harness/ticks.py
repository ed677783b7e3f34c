"""Ticks beside work that computes: how late they are, by where the work is done."""

from harness.rows import Metric, Row
from harness.runtimes import ROOT, Runtime, python_program

SCRIPT = ROOT / "bench" / "ticks" / "python.py"

WAYS = (("loop", "on the loop"), ("threads", "in threads"), ("processes", "in processes"))
MEASURES = (
    ("p50", "half of the ticks at most so late"),
    ("p99", "99 % of them"),
    ("max", "the latest"),
    ("busy", "the loop's thread between two, CPU"),
)
# What a tick may be late, at most, while a pool computes.
LIMIT_US = 2000


def metrics():
    for way, way_title in WAYS:
        for measure, title in MEASURES:
            is_judged = way != "loop" and measure in ("max", "busy")
            yield Metric(
                f"ticks_{way}_{measure}_us",
                f"primes {way_title}: {title}",
                "us",
                limit=LIMIT_US if is_judged else None,
            )


ROWS = (Row("ticks", tuple(metrics()), cores=2, may_share_cores=True),)


def all_runtimes(cpp):
    return (
        Runtime("floor", "floor", cpp.target("bench_ticks_floor"), {"ticks": 60}),
        Runtime("ours", "ours", cpp.target("bench_ticks_ours"), {"ticks": 60}),
        Runtime("asyncio", "asyncio", python_program("asyncio", SCRIPT), {"ticks": 60}),
        Runtime("uvloop", "uvloop", python_program("uvloop", SCRIPT), {"ticks": 60}),
    )
