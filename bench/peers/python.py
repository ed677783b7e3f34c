"""CPython's asyncio, and the same programs on uvloop: python.py asyncio|uvloop ROW N [SECONDS]."""

import asyncio
import concurrent.futures
import resource
import sys
import threading
import time

BATCH = 1000
FIB_ARGUMENT = 27
FIB_AWAITS = 635_621
SECOND_NS = 1_000_000_000
MAP_SIZE = 1000
MAP_CHUNK = 50


def xorshift():
    """The delays of the other programs of this benchmark."""
    state = 0x9E3779B97F4A7C15
    mask = (1 << 64) - 1
    while True:
        state ^= (state << 13) & mask
        state ^= state >> 7
        state ^= (state << 17) & mask
        yield state


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_memory_mib():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024


async def identity(value):
    return value


async def spawn(operations):
    for _ in range(operations // BATCH):
        await asyncio.gather(*[asyncio.create_task(identity(index)) for index in range(BATCH)])


async def yield_often(times):
    for _ in range(times):
        await asyncio.sleep(0)


async def take_turns(operations):
    turns = operations // BATCH
    await asyncio.gather(*[asyncio.create_task(yield_often(turns)) for _ in range(BATCH)])


async def fib(n):
    if n < 2:
        return n
    return await fib(n - 1) + await fib(n - 2)


async def fib_often(operations):
    for _ in range(operations // FIB_AWAITS):
        await fib(FIB_ARGUMENT)


async def sleep_together(delays):
    tasks = [asyncio.create_task(asyncio.sleep(delay)) for delay in delays]
    for task in tasks:
        await task


async def set_and_cancel(operations):
    loop = asyncio.get_running_loop()
    start = loop.time()
    random = xorshift()
    background = [loop.call_at(start + 5 + next(random) % 10, int) for _ in range(BATCH)]
    for turn in range(operations):
        loop.call_at(start + 10 + turn / SECOND_NS, int).cancel()
    for timer in background:
        timer.cancel()


async def threadsafe(operations):
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    called = 0

    def callback():
        nonlocal called
        called += 1
        if called == operations:
            finished.set_result(None)

    def call_often():
        for _ in range(operations):
            loop.call_soon_threadsafe(callback)

    caller = threading.Thread(target=call_often)
    caller.start()
    await finished
    caller.join()


def echo(value):
    return value


async def call_in_executor(pool, value, operations):
    loop = asyncio.get_running_loop()
    for _ in range(operations):
        value = await loop.run_in_executor(pool, echo, value)


async def map_in_executor(pool, operations):
    for _ in range(operations // MAP_SIZE):
        sum(pool.map(echo, range(MAP_SIZE), chunksize=MAP_CHUNK))


def executors(row, operations):
    """The rows of executors, each in a pool of one thread or process."""
    kind, _, work = row.partition("_")
    of_kind = {
        "thread": concurrent.futures.ThreadPoolExecutor,
        "process": concurrent.futures.ProcessPoolExecutor,
    }
    pool = of_kind[kind](1)
    if work == "map":
        return map_in_executor(pool, operations)
    return call_in_executor(pool, bytes(1 << 20) if work == "mib" else 1, operations)


async def hold_often(primitive, times):
    for _ in range(times):
        async with primitive:
            pass


async def hold_in_turn(primitive, tasks, operations):
    await primitive.acquire()
    times = operations // tasks
    holders = [asyncio.create_task(hold_often(primitive, times)) for _ in range(tasks)]
    await asyncio.sleep(0)
    primitive.release()
    await asyncio.gather(*holders)


async def put_and_get(operations):
    queue = asyncio.Queue()
    for turn in range(operations):
        await queue.put(turn)
        await queue.get()


async def pong(pings, pongs, times):
    for _ in range(times):
        await pongs.put(await pings.get() + 1)


async def ping_pong(operations):
    pings, pongs = asyncio.Queue(), asyncio.Queue()
    other = asyncio.create_task(pong(pings, pongs, operations))
    ball = 0
    for _ in range(operations):
        await pings.put(ball)
        ball = await pongs.get()
    await other


async def set_deadlines(operations):
    for _ in range(operations):
        async with asyncio.timeout(3600):
            await identity(1)


async def spawn_in_group(operations):
    for _ in range(operations // BATCH):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(identity(index)) for index in range(BATCH)]
        [task.result() for task in tasks]


def main_of(row, operations, seconds):
    random = xorshift()
    if row == "sleepers":
        return sleep_together(seconds for _ in range(operations))
    if row == "sleeps":
        return sleep_together(next(random) % SECOND_NS / SECOND_NS for _ in range(operations))
    if row.startswith(("thread_", "process_")):
        return executors(row, operations)
    return {
        "spawn": spawn,
        "switch": take_turns,
        "switch1": yield_often,
        "await": fib_often,
        "timers": set_and_cancel,
        "threadsafe": threadsafe,
        "lock": lambda count: hold_in_turn(asyncio.Lock(), 1, count),
        "lock_contended": lambda count: hold_in_turn(asyncio.Lock(), BATCH, count),
        "semaphore": lambda count: hold_in_turn(asyncio.Semaphore(), 1, count),
        "semaphore_contended": lambda count: hold_in_turn(asyncio.Semaphore(), BATCH, count),
        "queue": put_and_get,
        "pingpong": ping_pong,
        "timeout": set_deadlines,
        "group": spawn_in_group,
    }[row](operations)


def report(row, operations, elapsed_s, cpu_s):
    if row == "sleepers":
        print(f"sleepers_cpu_s {cpu_s}")
        print(f"sleepers_mib {peak_memory_mib()}")
    elif row == "sleeps":
        print(f"sleeps_cpu_ns {cpu_s * 1e9 / operations}")
    elif row.startswith(("thread_", "process_")):
        print(f"{row}_us {elapsed_s * 1e6 / operations}")
    else:
        print(f"{row}_ns {elapsed_s * 1e9 / operations}")


def main():
    runtime, row, operations = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    version = sys.version.split()[0]
    if runtime == "uvloop":
        import uvloop

        uvloop.install()
        version = uvloop.__version__
    if row == "version":
        print(f"version {version}")
        return
    if row == "await":
        operations -= operations % FIB_AWAITS
    started, cpu_started = time.perf_counter(), cpu_seconds()
    asyncio.run(main_of(row, operations, seconds))
    report(row, operations, time.perf_counter() - started, cpu_seconds() - cpu_started)


if __name__ == "__main__":
    main()
