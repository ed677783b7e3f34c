"""`asyncio demo`: what it prints, that waiting together is not slower than in turn, and that a loop
that computes does not tick.

    python3 test_demo.py ASYNCIO
"""

import os
import re
import subprocess
import sys
import unittest

COMMAND = sys.argv[1]


def play(locale):
    environment = {**os.environ, "LC_ALL": locale}
    result = subprocess.run([COMMAND, "demo"], env=environment, capture_output=True,
                            encoding="utf-8", timeout=100)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "", result.stderr
    return result.stdout


class Demo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.output = play("C.UTF-8")
        cls.lines = cls.output.splitlines()
        # Everything between two "took" lines belongs to one way of one scenario.
        ways = re.split(r"^took .*\n", cls.output, flags=re.MULTILINE)
        cls.ways = ways[:4]
        # The warnings of debug mode come after the time.
        cls.on_the_loop, after, cls.in_processes = ways[4:7]
        cls.warning, cls.in_threads = after.split("Better: in threads")

    def test_the_first_lines_say_what_will_be_seen(self):
        self.assertIn("asyncio demo", self.lines[0])
        self.assertIn("picture", " ".join(self.lines[:8]))

    def test_waiting_together_is_not_slower(self):
        times = [float(time) for time in re.findall(r"^took ([\d.]+) s$", self.output, re.M)]
        self.assertEqual(len(times), 7)
        self.assertGreaterEqual(times[0], times[1])
        self.assertGreaterEqual(times[2], times[3])
        self.assertGreaterEqual(times[0], 2.0)
        self.assertGreaterEqual(times[2], 6 * 0.3)

    def test_the_pictures_show_who_took_part(self):
        self.assertRegex(self.ways[0], r"ms +Main +Event loop\n")
        self.assertRegex(self.ways[1], r"ms +Main +Event loop +Task 1 +Task 2\n")
        for way in self.ways[2:]:
            self.assertRegex(way, "Event" + " +Task" * 6 + r"\n +ms +Main +loop +1 +2 +3 +4 +5 +6")

    def test_the_pictures_show_what_happened_in_order(self):
        for way, count in zip(self.ways[1:], (2, 6, 6)):
            for event in ("first step", "waits for I/O", "I/O done, goes on", "result: 200"):
                self.assertEqual(way.count(" " + event + "\n"), count, event)
            for number in range(1, count + 1):
                self.assertIn(f"create_task(Task {number})", way)
        self.assertEqual(self.ways[0].count("... idle "), 2)
        self.assertEqual(self.ways[2].count("... idle "), 6)
        better = self.ways[3]
        self.assertIn("await gather(tasks)", better)
        # Every task waits before any answer is there.
        self.assertLess(better.rindex("waits for I/O"), better.index("I/O done"))
        # One by one, each answer is there before the next task exists.
        self.assertLess(self.ways[2].index("result: 200"),
                        self.ways[2].index("create_task(Task 2)"))

    def test_a_loop_that_computes_does_not_tick(self):
        # How many ticks are missing beside threads and processes is up to the machine.
        self.assertRegex(self.on_the_loop, "\n +0  ·*█+")
        for way in self.on_the_loop, self.in_threads, self.in_processes:
            self.assertRegex(way, "\n +ms  · a tick every 10 ms, █ none came\n")
            self.assertGreaterEqual(way[way.index("none came"):].count("·"), 2)

    def test_every_way_of_computing_finds_the_same(self):
        found = re.findall(r"^(\d+) primes; the latest tick came [\d.]+ ms late$", self.output,
                           re.M)
        self.assertEqual(found, ["11538"] * 3)

    def test_debug_mode_tells_which_task_computes(self):
        self.assertIn("the first of 4 warnings", self.warning)
        self.assertRegex(" ".join(self.warning.split()),
                         r"Executing <Task pending name='count 1' coro=<.*> took \d\.\d{3} seconds")

    def test_the_table_compares_the_five_ways(self):
        table = self.output[self.output.index("Which way when"):]
        for text in ("co_await coro()", "create_task()", "gather()", "to_thread()",
                     "run_in_executor", "properties", "errors"):
            self.assertIn(text, table)

    def test_it_fits_into_eighty_columns_without_colours(self):
        self.assertLessEqual(max(map(len, self.lines)), 80)
        self.assertNotIn("\x1b", self.output)

    def test_a_plain_locale_gets_plain_characters(self):
        self.assertTrue(play("C").isascii())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
