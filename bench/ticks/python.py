"""Ticks beside work that computes, on asyncio or uvloop: on the loop, in threads, in processes.

    python.py asyncio|uvloop ticks CALLS
"""

import asyncio
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

TICK_S = 0.001
# As much work as in the other programs would take a second here.
PRIMES_LIMIT = 20_000


def count_primes(limit):
    count = 0
    for number in range(2, limit):
        divisor = 2
        while divisor * divisor <= number and number % divisor:
            divisor += 1
        count += divisor * divisor > number
    return count


async def tick(late, busy):
    computed = time.thread_time()
    while True:
        due = time.perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append(max(0.0, time.perf_counter() - due))
        before, computed = computed, time.thread_time()
        busy.append(computed - before)


def report(what, seconds):
    print(f"ticks_{what}_us {seconds * 1e6:.6g}")


async def compute(way, workers, calls, call):
    # Workers are made by their first call.
    await asyncio.gather(*(call() for _ in range(workers)))
    late, busy = [], []
    ticking = asyncio.create_task(tick(late, busy))

    async def work():
        for _ in range(calls // workers):
            await call()

    await asyncio.gather(*(work() for _ in range(workers)))
    ticking.cancel()
    late.sort()
    for percent, name in ((50, "p50"), (99, "p99"), (100, "max")):
        report(f"{way}_{name}", late[(len(late) - 1) * percent // 100])
    report(f"{way}_busy", max(busy))


async def ticks(calls):
    loop = asyncio.get_running_loop()
    workers = len(os.sched_getaffinity(0))

    async def on_the_loop():
        count_primes(PRIMES_LIMIT)
        await asyncio.sleep(0)

    def by(pool):
        return lambda: loop.run_in_executor(pool, count_primes, PRIMES_LIMIT)

    with ProcessPoolExecutor(workers) as processes, ThreadPoolExecutor(workers) as threads:
        await compute("loop", workers, calls, on_the_loop)
        await compute("threads", workers, calls, by(threads))
        await compute("processes", workers, calls, by(processes))


def main():
    runtime, row, calls = sys.argv[1:4]
    version = platform.python_version()
    if runtime == "uvloop":
        import uvloop

        uvloop.install()
        version = uvloop.__version__
    if row == "version":
        print(f"version {version}")
    else:
        asyncio.run(ticks(int(calls)))


if __name__ == "__main__":
    main()
