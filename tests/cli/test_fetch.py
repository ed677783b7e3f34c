"""`asyncio fetch` against `asyncio site`, and against servers that misbehave.

    python3 test_fetch.py ASYNCIO
"""

import contextlib
import http.server
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from test_site import COMMAND, Site

# Every program refers to __asan_init, to see whether it is there; only checked code reports.
IS_SANITIZED = any(name in pathlib.Path(COMMAND).read_bytes()
                   for name in (b"__asan_report_load", b"__tsan_func_entry"))
MIB = 1024  # in KiB, the unit of ru_maxrss


def fetch(*arguments, text="", timeout=120):
    return subprocess.run([COMMAND, "fetch", *arguments], input=text.encode(),
                          capture_output=True, timeout=timeout)


def lines_of(result):
    return result.stdout.decode().splitlines()


def statuses_of(result):
    return [line.split()[0] for line in lines_of(result)]


def peak_memory_of(command, output):
    """Runs a command; returns its exit status, its peak resident memory in KiB and its time."""
    before = time.monotonic()
    with open(output, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss, time.monotonic() - before


class Echo(http.server.ThreadingHTTPServer):
    """Answers every path with status 200 and the path as the body; counts what is at once."""

    daemon_threads = True
    request_queue_size = 1024

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            with self.server.lock:
                self.server.active += 1
                self.server.most = max(self.server.most, self.server.active)
            time.sleep(0.002)
            with self.server.lock:
                self.server.active -= 1
            body = self.path.encode("latin-1")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.lock = threading.Lock()
        self.active = self.most = 0
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class WithSite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()

    @classmethod
    def tearDownClass(cls):
        cls.site.__exit__()

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="asyncio-fetch-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def url(self, path):
        return self.site.url + path

    def list_of(self, urls, name="urls.txt"):
        path = self.folder / name
        path.write_text("".join(url + "\n" for url in urls))
        return str(path)


class Results(WithSite):
    def test_lines_come_in_order_and_one_failure_stops_nothing(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            refused = f"http://127.0.0.1:{unused.getsockname()[1]}/"
            urls = [self.url("/delay/300"), self.url("/bytes/1000"), "nonsense",
                    self.url("/status/500"), refused, "http://name.invalid/",
                    self.url("/redirect/3"), self.url("/redirect/30"), "ftp://example.org/",
                    self.url("/delay/60000"), self.url("/headers/1000"), self.url("/status/204")]
            result = fetch("--timeout", "2", *urls)
        lines = lines_of(result)
        self.assertEqual(len(lines), len(urls))
        for line, url in zip(lines, urls):
            self.assertIn(f" s  {url}", line)
        self.assertEqual(statuses_of(result), [
            "200", "200", "failed", "500", "failed", "failed", "200", "failed", "failed",
            "failed", "failed", "204"])
        self.assertRegex(lines[1], r"^200 +1000 +0\.\d{3} s  ")
        for number, text in ((2, "no scheme"), (3, "Internal Server Error"),
                             (4, "connection refused"), (5, "'name.invalid'"),
                             (7, "redirected more than 20 times"), (8, "'ftp' is not supported"),
                             (9, "timed out after 2 s while waiting for the answer"),
                             (10, "more than 256 header fields")):
            self.assertIn(text, lines[number])
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, b"")

    def test_all_well_is_status_0(self):
        result = fetch(self.url("/"))
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_urls_come_from_arguments_files_and_standard_input(self):
        path = self.list_of(["# a comment", "", "   " + self.url("/bytes/1") + " \r",
                             self.url("/bytes/2")])
        result = fetch("-i", path, self.url("/bytes/3"), "-", self.url("/bytes/5"),
                       text=self.url("/bytes/4"))
        self.assertEqual([line.split()[1] for line in lines_of(result)], list("12345"))

    def test_json(self):
        result = fetch("--json", self.url("/bytes/7"), self.url("/status/404"), 'a"\\\tb',
                       "http://127.0.0.1:1/")
        first, second, third, fourth = map(json.loads, lines_of(result))
        self.assertEqual((first["url"], first["status"], first["bytes"], first["attempts"]),
                         (self.url("/bytes/7"), 200, 7, 1))
        self.assertGreater(first["seconds"], 0)
        self.assertNotIn("error", first)
        self.assertEqual((second["status"], second["error"]), (404, "Not Found"))
        self.assertEqual((third["url"], third["status"]), ('a"\\\tb', None))
        self.assertIn("refused", fourth["error"])

    def test_broken_text_in_a_list_is_reported_as_text(self):
        path = self.folder / "urls.txt"
        path.write_bytes(b"http://h\xff\xfe/\n\x1b[31mred\n")
        result = fetch("--json", "-i", str(path))
        self.assertEqual(json.loads(lines_of(result)[0])["url"], "http://h\ufffd\ufffd/")
        self.assertNotIn(b"\x1b", fetch("-i", str(path)).stdout)

    def test_a_body_over_the_limit(self):
        result = fetch("--max-size", "1kb", self.url("/bytes/1024"), self.url("/bytes/1025"))
        self.assertEqual(statuses_of(result), ["200", "failed"])
        self.assertIn("limit of 1024 bytes", lines_of(result)[1])

    def test_retries(self):
        urls = [self.url(f"/flaky/50?{number}") for number in range(40)]
        once = fetch("--json", *urls)
        self.assertEqual(once.returncode, 1)
        often = fetch("--json", "--retries", "12", *urls)
        self.assertEqual(often.returncode, 0, often.stdout)
        attempts = [json.loads(line)["attempts"] for line in lines_of(often)]
        self.assertGreater(max(attempts), 1)
        refused = fetch("--json", "--retries", "2", "http://127.0.0.1:1/", "bad", self.url("/x"))
        self.assertEqual([json.loads(line)["attempts"] for line in lines_of(refused)], [3, 1, 1])

    def test_sequential_and_per_host(self):
        with Echo() as echo:
            urls = [f"{echo.url}/{number}" for number in range(60)]
            self.assertEqual(fetch("--sequential", *urls).returncode, 0)
            self.assertEqual(echo.most, 1)
            self.assertEqual(fetch("--per-host", "5", *urls).returncode, 0)
            self.assertLessEqual(echo.most, 5)

    def test_what_cannot_be_done_is_said(self):
        for arguments, text in (
                ([], "no URL"), (["-i", "/nonexistent"], "cannot read /nonexistent: No such file"),
                (["-i", "/"], "cannot read /: Is a directory"),
                (["--concurrency", "0", "x"], "--concurrency"),
                (["--sequential", "--concurrency", "2", "x"], "excludes"),
                (["-o", "/dev/null/x", "x"], "/dev/null/x"),
                (["--unknown", "x"], "--unknown")):
            result = fetch(*arguments)
            self.assertEqual(result.returncode, 2, result)
            self.assertEqual(result.stdout, b"")
            self.assertIn(text, result.stderr.decode())

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                [COMMAND, "fetch", *[self.url(f"/delay/{n}") for n in range(50)]],
                stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 2)
        self.assertIn("No space left on device", result.stderr.decode())


class Files(WithSite):
    def test_bodies_go_to_files_that_stay_in_their_directory(self):
        (self.folder / "outside").write_text("untouched")
        target = self.folder / "a" / "b"
        paths = ["/", "/../../outside", "/%2e%2e/%2e%2e/outside", "/..%2f..%2foutside", "/./x",
                 "//etc/passwd", "/a\\b", "/-rf", "/" + "long" * 500, "/" + "long" * 500 + "2",
                 "/x y", "/\u00fc\u202e", "/same", "/same", "/same", "/q?a=/../b", "/;rm", "/$(id)"]
        with Echo() as echo:
            result = fetch("--json", "-o", str(target), *[echo.url + path for path in paths])
        self.assertEqual(result.returncode, 0, result)
        results = [json.loads(line) for line in lines_of(result)]
        files = [pathlib.Path(entry["file"]) for entry in results]
        self.assertEqual(len(set(files)), len(paths))
        for file, entry in zip(files, results):
            self.assertEqual(file.parent, target)
            self.assertTrue(file.is_file())
            self.assertEqual(file.stat().st_size, entry["bytes"])
            self.assertRegex(file.name, r"^[A-Za-z0-9_][A-Za-z0-9._=+,%~-]{0,199}$")
        self.assertEqual(sorted(target.iterdir()), sorted(files))
        same = files[12].name
        self.assertEqual([file.name for file in files[12:15]], [same, same + ".1", same + ".2"])
        self.assertEqual((self.folder / "outside").read_text(), "untouched")
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["a", "outside"])

    def test_failures_leave_no_file_and_nothing_is_overwritten(self):
        urls = [self.url("/bytes/10"), self.url("/status/404"), self.url("/bytes/5000")]
        name = self.site.url.removeprefix("http://").replace(":", "_") + "_bytes_10"
        (self.folder / name).write_text("mine")
        result = fetch("--max-size", "1000", "-o", str(self.folder), *urls)
        self.assertEqual(statuses_of(result), ["200", "404", "failed"])
        self.assertEqual((self.folder / name).read_text(), "mine")
        self.assertEqual((self.folder / (name + ".1")).stat().st_size, 10)
        self.assertEqual(len(list(self.folder.iterdir())), 2)

    def test_a_second_attempt_begins_the_file_again(self):
        def serve():
            for body in (b"only this", b"all of the body" + b"." * 85):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            result = fetch("--retries", "1", "-o", str(self.folder / "out"), url)
            thread.join()
        self.assertEqual(statuses_of(result), ["200"])
        file, = (self.folder / "out").iterdir()
        self.assertEqual(file.read_bytes(), b"all of the body" + b"." * 85)

    def test_large_bodies_are_not_held_in_memory(self):
        url = self.url("/bytes/50000000")
        status, memory, _ = peak_memory_of(
            [COMMAND, "fetch", "-o", str(self.folder / "out"), *[url] * 4], os.devnull)
        self.assertEqual(status, 0)
        self.assertEqual([file.stat().st_size for file in (self.folder / "out").iterdir()],
                         [50_000_000] * 4)
        if not IS_SANITIZED:
            self.assertLess(memory, 50 * MIB)


class Running(WithSite):
    def start(self, *arguments, **options):
        return subprocess.Popen([COMMAND, "fetch", *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def test_a_line_appears_as_soon_as_it_is_next_and_ctrl_c_tells_what_was_done(self):
        folder = self.folder / "out"
        urls = [self.url("/bytes/1"), self.url("/status/500"), self.url("/delay/60000"),
                self.url("/bytes/2"), self.url("/delay/50000")]
        process = self.start("-o", str(folder), *urls)
        self.assertTrue(process.stdout.readline().startswith(b"200"))
        self.assertTrue(process.stdout.readline().startswith(b"500"))
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.01)  # until the fourth is done
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
        self.assertEqual(out, b"")
        self.assertEqual(errors.decode(), "stopped: 3 of 5 done, 1 failed\n")
        self.assertEqual(process.returncode, 130)
        self.assertEqual(len(list(folder.iterdir())), 2)

    def test_ctrl_c_in_the_middle_of_ten_thousand(self):
        path = self.list_of(self.url("/delay/20") for _ in range(10_000))
        process = self.start("--concurrency", "500", "-i", path)
        for _ in range(300):
            self.assertTrue(process.stdout.readline().startswith(b"200"))
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
        match = re.fullmatch(r"stopped: (\d+) of 10000 done, 0 failed\n", errors.decode())
        self.assertTrue(match, errors)
        self.assertGreaterEqual(int(match.group(1)), 300 + len(out.splitlines()))
        self.assertLess(int(match.group(1)), 10_000)
        self.assertEqual(process.returncode, 130)

    def test_a_host_that_does_not_answer_does_not_delay_ctrl_c(self):
        with socket.socket() as full, contextlib.ExitStack() as stack:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(4):  # its queue is full: the kernel drops what comes now
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            process = self.start("--timeout", "600", self.url("/bytes/1"),
                                 f"http://127.0.0.1:{full.getsockname()[1]}")
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            self.assertEqual((process.returncode, errors),
                             (130, b"stopped: 1 of 2 done, 0 failed\n"))

    def test_a_reader_that_stops_ends_it(self):
        process = self.start(*[self.url(f"/bytes/{number}") for number in range(2000)])
        process.stdout.readline()
        process.stdout.close()
        process.stderr.read()
        self.assertEqual(process.wait(timeout=30), 128 + signal.SIGPIPE)
        process.stderr.close()

    def test_a_progress_bar_on_a_terminal(self):
        class Later(Echo):
            """Answers when the bar has shown what there was to show until then."""
            bar_seen = threading.Event()

            class Handler(Echo.Handler):
                def do_GET(self):
                    Later.bar_seen.wait(60)
                    super().do_GET()

        ours, theirs = pty.openpty()
        with Later() as later, contextlib.closing(os.fdopen(ours, "rb", buffering=0)) as screen:
            process = subprocess.Popen([COMMAND, "fetch", later.url, self.url("/status/404")],
                                       stdout=subprocess.PIPE, stderr=theirs)
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # the terminal has ended
                while piece := screen.read(65536):
                    shown += piece
                    if all(text in shown for text in (b" 1/2 [====", b"1 failed", b"ETA")):
                        Later.bar_seen.set()
            out, _ = process.communicate(timeout=60)
        self.assertTrue(Later.bar_seen.is_set(), shown)
        self.assertRegex(shown.decode(),
                         r"\r\x1b\[K2 done, 1 failed, 0\.0 MB in \d+\.\d s\r\n$")
        self.assertEqual(len(out.splitlines()), 2)


class TenThousand(WithSite):
    def urls(self, count):
        return [self.url(f"/bytes/{100 + number % 900}?{number}") for number in range(count)]

    def run_ours(self, count):
        output = self.folder / f"out-{count}.txt"
        command = [COMMAND, "fetch", "--concurrency", "500", "-i",
                   self.list_of(self.urls(count), f"urls-{count}.txt")]
        status, memory, seconds = peak_memory_of(command, output)
        self.assertEqual(status, 0)
        with open(output, encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                status, size, _, _, url = line.split()
                self.assertEqual((status, size), ("200", str(100 + number % 900)))
                self.assertTrue(url.endswith(f"?{number}"), line)
        self.assertEqual(number + 1, count)
        return memory, seconds

    def run_curl(self, count):
        config = self.folder / "curl.txt"
        config.write_text("".join(f"url={url}\noutput=/dev/null\n" for url in self.urls(count)))
        status, _, seconds = peak_memory_of(
            ["curl", "-s", "--parallel", "--parallel-immediate", "--parallel-max", "500", "-K",
             str(config)], os.devnull)
        self.assertEqual(status, 0)
        return seconds

    def descriptors_of_site(self):
        return len(os.listdir(f"/proc/{self.site.process.pid}/fd"))

    def test_in_order_with_bounded_memory_and_nothing_left_open(self):
        self.run_ours(1)
        before = self.descriptors_of_site()
        small, _ = self.run_ours(1_000)
        large, seconds = self.run_ours(10_000)
        while self.descriptors_of_site() > before:
            time.sleep(0.01)  # the site notices the end of the connections in its own time
        print(f"\npeak memory: {small / MIB:.1f} MiB for 1,000 URLs, {large / MIB:.1f} MiB for "
              "10,000", file=sys.stderr)
        if not IS_SANITIZED:
            self.assertLessEqual(large - small, 20 * MIB)
        if shutil.which("curl"):
            curl = self.run_curl(10_000)
            print(f"10,000 URLs: {seconds:.2f} s, curl --parallel {curl:.2f} s, ratio "
                  f"{seconds / curl:.2f}", file=sys.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
