"""Runs the programs in rounds and keeps what they print.

A round runs every runtime once, one after the other: a machine that becomes slower for a minute
slows all of them, and the ratios survive.
"""

import os
import statistics
import subprocess

from harness.runtimes import Unavailable

RUN_TIMEOUT_S = 180

# In a session of its own the program is a scheduling group of its own, for which root can ask
# more time than a compiler in the next window gets. Others run it as it is.
PREFER = "{ echo -10 > /proc/self/autogroup; } 2>/dev/null; exec \"$@\""


class Failed(Exception):
    """A program did not finish as it should; the text is the reason."""


class Samples:
    """The values of one metric by one runtime, one a round."""

    def __init__(self):
        self.values = []

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def least(self):
        return min(self.values)

    @property
    def spread(self):
        return max(self.values) / min(self.values)


def pinned(row):
    """The prefix that pins a program to the last cores, which serve the fewest interrupts."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < row.cores and not row.may_share_cores:
        return None
    return ["taskset", "-c", ",".join(str(core) for core in available[-row.cores :])]


def run_program(command):
    """The lines that the program prints, as a dictionary."""
    try:
        result = subprocess.run(
            ["sh", "-c", PREFER, "sh"] + command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=RUN_TIMEOUT_S,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"did not end in {RUN_TIMEOUT_S} s") from error
    if result.returncode != 0:
        last_words = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Failed(f"exit status {result.returncode}: {last_words[0]}")
    return dict(line.split(" ", 1) for line in result.stdout.splitlines() if " " in line)


def build_all(runtimes):
    """The commands of those that can be had, by name; says why the others cannot."""
    commands = {}
    for runtime in runtimes:
        print(f"bench: building {runtime.title}", flush=True)
        try:
            commands[runtime.name] = runtime.build()
        except Unavailable as reason:
            print(f"bench: {runtime.title} is left out: {reason}")
    return commands


def versions(commands):
    """The versions of those peers that tell theirs."""
    found = {}
    for name, command in commands.items():
        try:
            found[name] = run_program(command + ["version", "1"])["version"]
        except (Failed, KeyError):
            continue
    return found


def takes_part(runtime, row, round_number, peer_rounds):
    if row.name not in runtime.work:
        return False
    if runtime.name in ("floor", "ours"):
        return True
    return round_number < (min(1, peer_rounds) if row.peers_once else peer_rounds)


def values_of(row, runtime, printed):
    """The pairs of a sample's key and value in what one run of a program has printed."""
    for metric in row.metrics:
        yield (runtime.name, metric.key), float(printed[metric.key])
        if metric.floor_of_ours and runtime.name == "ours":
            yield ("floor", metric.key), float(printed[metric.floor_of_ours])


def run_once(row, prefix, command, load, work):
    """What one run of a program has printed; of a server, what the load has, level by level."""
    if not isinstance(work, dict):
        arguments = [str(part) for part in (work if isinstance(work, tuple) else (work,))]
        return run_program(prefix + command + [row.name] + arguments)
    printed = {}
    for arguments in sorted(set(work.values())):
        measured = run_program(prefix + load + [row.name] + command + list(arguments))
        for level in work:
            if work[level] == arguments:
                prefix_of_level = f"{row.name}_{level}_"
                printed.update({prefix_of_level + key: measured[key] for key in measured})
    return printed


def run_row(row, runtimes, commands, load, rounds, peer_rounds):
    """Samples of one row by (runtime name, metric key)."""
    samples = {}
    prefix = pinned(row)
    if prefix is None:
        print(f"bench: the row {row.name} is left out: it needs {row.cores} cores")
        return samples
    failed = set()
    for round_number in range(rounds):
        for runtime in runtimes:
            if runtime.name in failed or runtime.name not in commands:
                continue
            if not takes_part(runtime, row, round_number, peer_rounds):
                continue
            try:
                printed = run_once(
                    row, prefix, commands[runtime.name], load, runtime.work[row.name]
                )
                for key, value in values_of(row, runtime, printed):
                    samples.setdefault(key, Samples()).values.append(value)
            except (Failed, KeyError, ValueError) as reason:
                print(f"bench: {runtime.title} has no {row.name}: {reason}")
                failed.add(runtime.name)
    return {key: value for key, value in samples.items() if key[0] not in failed}
