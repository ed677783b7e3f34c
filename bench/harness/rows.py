"""What is measured, and how much of the floor ours may cost at most."""

from dataclasses import dataclass
from typing import Optional


# As a metric's rival: whichever is best in it.
BEST_PEER = "best peer"


@dataclass(frozen=True)
class Metric:
    """One number that a row's program prints: a line of the table."""

    key: str
    title: str
    unit: str
    budget: Optional[float] = None  # The largest allowed ratio of ours to the floor.
    # The key of another number that ours prints in the same run, and that serves as the floor.
    floor_of_ours: Optional[str] = None
    # The peer than which ours must not be worse, up to what such a number varies by.
    rival: Optional[str] = None
    # What ours may be at most, in every round.
    limit: Optional[float] = None


@dataclass(frozen=True)
class Row:
    name: str
    metrics: tuple
    cores: int = 1
    # A peer that takes many seconds takes part in the first round only.
    peers_once: bool = False
    # Where there are fewer cores the row is measured on those.
    may_share_cores: bool = False


ROWS = (
    Row("spawn", (Metric("spawn_ns", "create 1,000 tasks, gather them; a task", "ns", 1.5),)),
    Row("switch", (Metric("switch_ns", "`sleep(0)`, 1,000 tasks; a switch", "ns", 1.5),)),
    Row("switch1", (Metric("switch1_ns", "`sleep(0)`, a single task; a switch", "ns"),)),
    Row("await", (Metric("await_ns", "`co_await` of a child (fib)", "ns", 1.3),)),
    Row(
        "sleepers",
        (
            Metric("sleepers_mib", "1,000,000 sleepers; peak memory", "MiB", 1.4),
            Metric("sleepers_cpu_s", "1,000,000 sleepers; CPU", "s", 1.5),
        ),
        peers_once=True,
    ),
    Row("sleeps", (Metric("sleeps_cpu_ns", "sleeps of 0 to 1 s; CPU each", "ns", 1.3),)),
    Row("timers", (Metric("timers_ns", "`call_at` and cancel; a pair", "ns", 3.0),)),
    # Four times the floor are 8, 10 and 20 ns where the machine is quiet.
    Row("lock", (Metric("lock_ns", "lock, free: acquire and release", "ns", 4.0),)),
    Row("semaphore", (Metric("semaphore_ns", "semaphore, free: the same", "ns", 4.0),)),
    Row("queue", (Metric("queue_ns", "queue: `put` and `get`", "ns", 4.0),)),
    Row("lock_contended", (Metric("lock_contended_ns", "lock, 1,000 tasks; a hand-over", "ns"),)),
    Row(
        "semaphore_contended",
        (Metric("semaphore_contended_ns", "semaphore, 1,000 tasks; a hand-over", "ns"),),
    ),
    Row("pingpong", (Metric("pingpong_ns", "two tasks, two queues; a round trip", "ns", 2.0),)),
    Row("timeout", (Metric("timeout_ns", "`timeout` around a body that ends at once", "ns", 1.6),)),
    Row(
        "group",
        (
            Metric(
                "group_ns",
                "`TaskGroup` of 1,000, our gather as the floor; a task",
                "ns",
                1.3,
                floor_of_ours="gather_ns",
            ),
        ),
    ),
)
