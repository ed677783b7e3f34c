"""`asyncio fetch` among readers who stop, signals, hostile servers and wrong options.

    python3 test_fetch_trouble.py ASYNCIO
"""

import array
import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import ssl
import subprocess
import termios
import threading
import time
import unittest

from test_fetch import IS_SANITIZED, MIB, WithSite, fetch, lines_of, peak_memory_of, statuses_of
from test_site import COMMAND


class Scripted:
    """Answers each connection's first request with what `answer(path)` returns, then closes."""

    def __init__(self, answer, context=None):
        self.answer = answer
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(65536)
                if not piece:
                    return
                request += piece
            connection.sendall(self.answer(request.split(b" ")[1].decode()))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def response(status, body=b"", **fields):
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return (head + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) +
            "\r\n").encode("latin-1") + body


def unread_bytes(fd):
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Trouble(WithSite):
    def start(self, *arguments, **options):
        return subprocess.Popen([COMMAND, "fetch", *arguments],
                                **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options)

    def start_with_full_pipe(self, *arguments, **options):
        """Starts it, and returns it and the pipe that it writes to once that takes no more."""
        reader, writer = os.pipe()
        process = self.start(*arguments, **{"stdout": writer} | options)
        wait_until(lambda: not select.select([], [writer], [], 0)[1])
        os.close(writer)
        return process, self.enterContext(os.fdopen(reader, "rb"))

    def parts(self):
        return [name for name in os.listdir(self.folder / "out") if name.endswith(".part")]


class Output(Trouble):
    def test_a_single_line_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([COMMAND, "fetch", self.url("/")], stdout=full,
                                    stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr.decode(), "asyncio fetch: cannot write the results: "
                                                 "No space left on device\n")

    def test_a_closed_standard_output_is_a_failure_and_no_file_takes_its_place(self):
        result = subprocess.run(
            ["sh", "-c", f"exec '{COMMAND}' fetch -o '{self.folder}/out' '{self.url('/bytes/3')}' "
                         ">&-"], capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 2)
        self.assertIn("Bad file descriptor", result.stderr.decode())
        for file in (self.folder / "out").iterdir():
            self.assertEqual(file.stat().st_size, 3)

    def test_a_paused_reader_holds_up_no_deadline_and_no_ctrl_c(self):
        for _ in range(2):
            urls = self.list_of(self.url("/bytes/1") for _ in range(20_000))
            process, reader = self.start_with_full_pipe("-i", urls)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=30), 130)  # nobody reads before it has ended
            self.assertTrue(reader.read().endswith(b"\n"))  # no line is cut
            errors = process.communicate()[1]
            self.assertRegex(errors.decode(), r"^stopped: \d+ of 20000 done, 0 failed\n$")

    def test_a_reader_who_goes_on_after_a_pause_gets_every_line(self):
        urls = [self.url("/delay/1500")] + [self.url(f"/bytes/{n}") for n in range(3_000)]
        process, reader = self.start_with_full_pipe("--timeout", "20", "-i", self.list_of(urls))
        self.assertEqual([line.split()[-1] for line in reader.read().decode().splitlines()], urls)
        self.assertEqual((process.communicate(timeout=60)[1], process.returncode), (b"", 0))

    def test_a_paused_reader_of_everything_does_not_disable_ctrl_c(self):
        urls = self.list_of(self.url("/bytes/1") for _ in range(20_000))
        process, _ = self.start_with_full_pipe("-i", urls, stderr=subprocess.STDOUT)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)

    def test_a_paused_terminal_does_not_disable_ctrl_c(self):
        ours, theirs = pty.openpty()
        process = self.start("-i", self.list_of(self.url("/bytes/1") for _ in range(5_000)),
                             stdout=theirs, stderr=theirs)
        wait_until(lambda: unread_bytes(ours) > 1000)
        time.sleep(0.5)  # more than the terminal takes, so that the pause is a real one
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), 130)
        os.close(ours)
        os.close(theirs)

    def test_a_reader_who_leaves_leaves_no_unfinished_file(self):
        urls = [self.url("/bytes/1"), self.slow, *[self.url("/bytes/1")] * 2000]
        process = self.start("-o", str(self.folder / "out"), self.slow, *urls)
        wait_until(lambda: (self.folder / "out").exists() and self.parts())
        process.stdout.close()
        self.release.set()
        self.assertEqual(process.wait(timeout=30), 128 + signal.SIGPIPE)
        self.assertEqual((self.parts(), process.stderr.read()), ([], b""))
        process.stderr.close()

    def test_signals_that_stop_it_leave_no_unfinished_file(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.start("-o", str(self.folder / "out"), self.url("/bytes/1"), self.slow)
            process.stdout.readline()
            wait_until(self.parts)
            process.send_signal(number)
            out, errors = process.communicate(timeout=30)
            self.assertEqual((process.returncode, out, errors),
                             (128 + number, b"", b"stopped: 1 of 2 done, 0 failed\n"))
            self.assertEqual(self.parts(), [])

    def test_what_nohup_ignores_stays_ignored(self):
        process = self.start(self.url("/bytes/1"), self.url("/delay/700"), preexec_fn=lambda:
                             signal.signal(signal.SIGHUP, signal.SIG_IGN))
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out[:3]), (0, b"200"))

    def setUp(self):
        super().setUp()
        # Half of a body at once, the rest when the test says so.
        self.release = threading.Event()
        self.addCleanup(self.release.set)

        def answer(_):
            return b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50

        class Half(Scripted):
            def serve(server, connection):
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer(None))
                    self.release.wait(60)
                    connection.sendall(b"x" * 50)
        self.slow = self.enterContext(Half(answer)).url + "/"


def setUpModule():
    """Begins what takes half a minute; the other tests run meanwhile."""
    full = socket.socket()
    unittest.addModuleCleanup(full.close)
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    for _ in range(4):  # its queue is full: the kernel drops what comes now
        filler = socket.socket()
        unittest.addModuleCleanup(filler.close)
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    Waiting.connecting = subprocess.Popen(
        [COMMAND, "fetch", "--timeout", "600", f"http://127.0.0.1:{full.getsockname()[1]}/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    unittest.addModuleCleanup(Waiting.connecting.wait)
    unittest.addModuleCleanup(Waiting.connecting.kill)
    Waiting.begun = time.monotonic()


class Waiting(Trouble):  # the last one, by its name
    def test_the_timeout_holds_for_connecting_too(self):
        time.sleep(max(0, self.begun + 32 - time.monotonic()))  # the library's own limit is 30 s
        self.assertIsNone(self.connecting.poll())
        self.connecting.send_signal(signal.SIGINT)
        self.assertEqual(self.connecting.wait(timeout=30), 130)

    def test_waiting_in_line_does_not_count_against_the_timeout(self):
        result = fetch("--per-host", "1", "--timeout", "2", *[self.url("/delay/100")] * 25)
        self.assertEqual((result.returncode, statuses_of(result)), (0, ["200"] * 25))

    def test_a_host_at_its_limit_does_not_hold_up_the_others(self):
        reached = threading.Event()

        def busy(_):
            assert reached.wait(30)
            return response("200 OK")

        def other(_):
            reached.set()
            return response("200 OK")
        with Scripted(busy) as first, Scripted(other) as second:
            urls = [f"{first.url}/{n}" for n in range(20)] + [second.url + "/"]
            result = fetch("--per-host", "2", "--concurrency", "5", "--timeout", "20", *urls)
        self.assertEqual((result.returncode, statuses_of(result)), (0, ["200"] * 21))
        self.assertEqual([line.split()[-1] for line in lines_of(result)], urls)

    def test_names_of_files_do_not_depend_on_what_is_passed_over(self):
        with Scripted(lambda path: response("200 OK", path.encode())) as server:
            urls = [server.url + path for path in ("/a?b", "/a_b", "/a?b", "/c", "/a_b")]
            result = fetch("--json", "--per-host", "1", "-o", str(self.folder / "out"), *urls)
        names = [json.loads(line)["file"].split("_", 2)[2] for line in lines_of(result)]
        self.assertEqual(names, ["a_b", "a_b.1", "a_b.2", "c", "a_b.3"]
                         if names[0] == "a_b" else names)
        self.assertEqual(len(set(names)), 5)


class HostileServers(Trouble):
    def test_long_words_are_cut(self):
        with Scripted(lambda _: response("500 " + "R" * 60_000)) as server:
            line, = lines_of(fetch(server.url))
            self.assertLess(len(line), 600)
        with Scripted(lambda _: response("302 F", Location="/" + "x" * 50_000)) as server:
            line, = lines_of(fetch(server.url))
            self.assertLess(len(line), 600)

    @unittest.skipIf(IS_SANITIZED, "the memory is the sanitizer's")
    def test_lines_that_wait_for_a_slow_one_take_bounded_memory(self):
        with Scripted(lambda _: response("500 " + "R" * 60_000)) as server:
            def peak(count):
                urls = [self.url("/delay/2500"), *[server.url + "/"] * count]
                _, memory, _ = peak_memory_of(
                    [COMMAND, "fetch", "-c", "20", "--json", "-i", self.list_of(urls)], os.devnull)
                return memory
            self.assertLess(peak(1500) - peak(20), 8 * MIB)

    def test_an_error_after_a_redirect_names_the_url_at_fault(self):
        with Scripted(lambda _: response("302 F", Location="http://127.0.0.1:1/x")) as server:
            text, = lines_of(fetch(server.url))
            entry = json.loads(lines_of(fetch("--json", server.url))[0])
        self.assertTrue(text.endswith("(after a redirect to http://127.0.0.1:1/x)"), text)
        self.assertEqual((entry["url"], entry["final_url"]), (server.url, "http://127.0.0.1:1/x"))
        target = self.url("/delay/60000")
        with Scripted(lambda _: response("302 F", Location=target)) as server:
            text, = lines_of(fetch("--timeout", "0.5", server.url))
        self.assertTrue(text.endswith(f"(after a redirect to {target})"), text)
        entry = json.loads(lines_of(fetch("--json", self.url("/redirect/2")))[0])
        self.assertEqual(entry["final_url"], self.url("/redirect/0"))
        for url in (self.url("/bytes/1"), self.url(""), "http://127.0.0.1:1"):
            self.assertNotIn("final_url", json.loads(lines_of(fetch("--json", url))[0]))

    def test_nothing_that_a_server_says_reaches_the_terminal_but_text(self):
        reason = "\x1b[31m \x9b31m \xc2\x9b31m \xe2\x80\xae"
        with Scripted(lambda _: response("500 " + reason)) as server:
            self.assertIn(b"?[31m ?31m ?31m ?", fetch(server.url).stdout)
            out = fetch("--json", server.url).stdout
        self.assertIn(rb"\u001b[31m \ufffd31m \u009b31m \u202e", out)

    def test_advice_names_options_of_the_command(self):
        with Scripted(lambda _: response("302 F", Location="/x")) as loop:
            result = fetch("--max-size", "1", self.url("/bytes/2"), self.url("/headers/999"),
                           self.url("/redirect/50"))
        size, headers, redirects = lines_of(result)
        self.assertTrue(size.endswith("limit of 1 bytes: raise --max-size if that is wanted"))
        self.assertTrue(headers.endswith("more than 256 header fields"), headers)
        self.assertNotIn("max_redirects", redirects)


class Connecting(Trouble):
    @unittest.skipUnless(shutil.which("openssl"), "needs openssl to make a certificate")
    def test_certificates_to_trust_come_from_an_option_or_the_environment(self):
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with Scripted(lambda _: response("200 OK"), context) as server:
            url = f"https://localhost:{server.port}/"
            line, = lines_of(fetch(url))
            self.assertIn("name its authority with --ca-file", line)
            self.assertEqual(statuses_of(fetch("--ca-file", str(certificate), url)), ["200"])
            result = subprocess.run([COMMAND, "fetch", url], capture_output=True, timeout=60,
                                    env={**os.environ, "SSL_CERT_FILE": str(certificate)})
            self.assertEqual(statuses_of(result), ["200"])


class Arguments(Trouble):
    def test_numbers_that_mean_nothing_are_refused_in_a_sentence(self):
        for option, values in (("--timeout", ("nan", "inf", "1e-10", "0", "-1", "1e300", "", "1s")),
                               ("--per-host", ("-1", "1.5", "x")), ("--retries", ("-1",)),
                               ("--max-size", ("-1", "1XB", "99999999999GB", "")),
                               ("--concurrency", ("99999999999999999999", "0", "-1"))):
            for value in values:
                result = fetch(f"{option}={value}" if value else option, *[""][bool(value):],
                               "http://127.0.0.1:1/")
                self.assertEqual((result.returncode, result.stdout), (2, b""), (option, value))
                message = result.stderr.decode().splitlines()[0]
                self.assertTrue(message.startswith(f"{option}: '{value}' is not understood: give "),
                                message)
                self.assertLess(len(message), 120)

    def test_sizes_have_units(self):
        for size, limit in (("7", "7"), ("2kB", "2048"), ("1MiB", "1048576"), ("1g", "1073741824")):
            result = fetch("--max-size", size, self.url("/bytes/1073741824"))
            if limit != "1073741824":
                self.assertIn(f"limit of {limit} bytes", lines_of(result)[0])

    def test_text_in_brackets_is_one_url(self):
        result = fetch("[http://127.0.0.1:1/a,http://127.0.0.1:1/b]", "x")
        self.assertEqual(len(lines_of(result)), 2)

    def test_a_byte_order_mark_is_no_part_of_the_first_url(self):
        path = self.folder / "urls.txt"
        path.write_bytes(b"\xef\xbb\xbf" + self.url("/bytes/1").encode() + b"\r\n")
        self.assertEqual(statuses_of(fetch("-i", str(path))), ["200"])

    def test_passwords_are_not_printed(self):
        url = self.url("/bytes/1").replace("//", "//user:secret@")
        for result in (fetch(url), fetch("--json", url)):
            self.assertEqual(result.returncode, 0)
            self.assertNotIn(b"secret", result.stdout)
            self.assertIn(b"/bytes/1", result.stdout)

    def test_few_urls_need_few_descriptors(self):
        result = subprocess.run(
            ["sh", "-c", f"ulimit -n 100; exec '{COMMAND}' fetch -c 500 '{self.url('/')}'"],
            capture_output=True, timeout=60)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        urls = self.list_of(self.url("/") for _ in range(100))
        for arguments, most in (("", 36), (f"-o '{self.folder}/out'", 18)):
            result = subprocess.run(
                ["sh", "-c", f"ulimit -n 100; exec '{COMMAND}' fetch {arguments} -i '{urls}'"],
                capture_output=True, timeout=60)
            self.assertEqual(result.returncode, 0)
            self.assertIn(f"{most} at once instead of 100", result.stderr.decode())

    def test_a_directory_that_is_a_file_is_named(self):
        path = self.folder / "file"
        path.write_text("mine")
        result = fetch("-o", str(path), self.url("/"))
        self.assertEqual((result.returncode, result.stderr.decode()),
                         (2, f"asyncio fetch: cannot make the directory {path}: "
                             "Not a directory\n"))

    def test_the_version(self):
        result = subprocess.run([COMMAND, "--version"], capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout.decode(), r"^asyncio \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    import sys
    unittest.main(argv=sys.argv[:1])
