"""`asyncio site`, with curl and with bare sockets as its clients.

    python3 test_site.py ASYNCIO
"""

import asyncio
import contextlib
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import unittest

COMMAND = sys.argv[1]
# UndefinedBehaviorSanitizer opens descriptors to look at objects; without any it sees faults.
NEEDS_DESCRIPTORS = b"__ubsan_handle" in pathlib.Path(COMMAND).read_bytes()
GET = b"GET %s HTTP/1.1\r\nHost: site\r\n\r\n"


class Site:
    """The command in a process of its own, until the `with` block ends."""

    def __init__(self, *arguments, descriptors=None):
        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.process = subprocess.Popen(
            [COMMAND, "site", "--port", "0", *arguments], preexec_fn=limit, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on (http://(127\.0\.0\.1):(\d+))\n", line)
        assert match, line + self.process.stderr.read()
        self.url = match.group(1)
        self.address = match.group(2), int(match.group(3))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def curl(self, path, *arguments):
        return subprocess.run(["curl", "-s", *arguments, self.url + path], check=True,
                              capture_output=True, encoding="utf-8", timeout=60).stdout

    def connect(self):
        return contextlib.closing(socket.create_connection(self.address, timeout=60))

    def wait(self):
        """Returns the exit status and what the site wrote to its error output."""
        errors = self.process.communicate(timeout=60)[1]
        return self.process.returncode, errors


def receive_until(connection, end):
    received = b""
    while not received.endswith(end):
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


def receive_all(connection):
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()

    @classmethod
    def tearDownClass(cls):
        cls.site.__exit__()

    def status_of(self, request):
        """Sends bytes; returns the status, after the site has closed the connection."""
        with self.site.connect() as connection:
            connection.sendall(request)
            answer = receive_all(connection)
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        return int(answer.split()[1])

    def test_the_first_page_lists_the_others(self):
        for page in ("delay", "bytes", "status", "flaky", "redirect", "headers"):
            self.assertIn(f"/{page}/", self.site.curl("/"))

    def test_bytes(self):
        self.assertEqual(len(self.site.curl("/bytes/1000")), 1000)
        self.assertEqual(len(self.site.curl("/bytes/3000000")), 3_000_000)
        self.assertEqual(self.site.curl("/bytes/0"), "")

    def test_status(self):
        write = ("-o", "/dev/null", "-w", "%{http_code}")
        for code in ("200", "204", "304", "404", "503", "599"):
            self.assertEqual(self.site.curl("/status/" + code, *write), code)

    def test_delay(self):
        before = time.monotonic()
        self.assertEqual(self.site.curl("/delay/200"), "waited 200 ms\n")
        self.assertGreaterEqual(time.monotonic() - before, 0.2)

    def test_redirect(self):
        answer = self.site.curl("/redirect/3", "-L", "-w", "%{num_redirects}")
        self.assertEqual(answer, "arrived\n3")

    def test_headers(self):
        self.assertEqual(self.site.curl("/headers/50", "-i").count("X-Field-"), 50)

    def test_head_has_no_body(self):
        self.assertIn("Content-Length: 1000", self.site.curl("/bytes/1000", "-I"))

    def test_other_methods_are_refused_and_the_connection_goes_on(self):
        answers = self.site.curl("/bytes/5", "-i", "-d", "some data", self.site.url + "/bytes/7",
                                 "-w", "%{num_connects}")
        self.assertEqual(answers.count("HTTP/1.1 405"), 2)
        self.assertIn("Allow: GET, HEAD", answers)
        self.assertTrue(answers.endswith("0"), "the second request used the first connection")

    def test_an_old_client_is_told_whether_the_connection_stays(self):
        self.assertNotIn("Connection", self.site.curl("/", "-i"))
        self.assertIn("Connection: close", self.site.curl("/", "-i", "-0"))
        answer = self.site.curl("/", "-i", "-0", "-H", "Connection: keep-alive")
        self.assertIn("Connection: keep-alive", answer)

    def test_a_request_may_come_byte_by_byte(self):
        with self.site.connect() as connection:
            for byte in GET % b"/status/202":
                connection.send(bytes([byte]))
            self.assertIn(b"202 Accepted", receive_until(connection, b"Accepted\n"))

    def test_requests_that_come_together_are_answered_in_order(self):
        with self.site.connect() as connection:
            connection.sendall(GET % b"/delay/100" + GET % b"/bytes/3" + GET % b"/status/404")
            answers = receive_until(connection, b"404 Not Found\n")
        bodies = [answer.split(b"\r\n\r\n", 1)[1] for answer in answers.split(b"HTTP/1.1 ")[1:]]
        self.assertEqual(bodies, [b"waited 100 ms\n", b"012", b"404 Not Found\n"])

    def test_a_body_is_not_taken_for_the_next_request(self):
        post = b"POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 40\r\n\r\n"
        with self.site.connect() as connection:
            connection.sendall(post + (GET % b"/bytes/1").ljust(40)[:40] + GET % b"/bytes/9")
            answers = receive_until(connection, b"012345678")
        self.assertEqual(answers.count(b"HTTP/1.1 "), 2)

    def test_limits_are_told_to_the_client(self):
        self.assertEqual(self.status_of(GET % (b"/" + b"x" * 9_000)), 414)
        fields = b"A: " + b"x" * 40_000
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields), 431)
        fields = b"A: x\r\n" * 101
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"), 431)
        fields = b"Content-Length: 2000000\r\n"
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"), 413)
        self.assertEqual(self.status_of(b"nonsense\r\n\r\n"), 400)
        self.assertEqual(self.status_of(b"GET / HTTP/1.1\r\n\r\n"), 400)

    def test_the_answer_to_nonsense_arrives_although_more_nonsense_follows(self):
        self.assertEqual(self.status_of(b"nonsense\r\n\r\n" + b"x" * 500_000), 400)

    def test_a_client_that_stops_in_the_middle_is_told(self):
        with self.site.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHo")
            connection.shutdown(socket.SHUT_WR)
            self.assertIn(b"400 Bad Request", receive_all(connection))

    def test_a_client_that_resets_does_no_harm(self):
        for path in (b"/bytes/100000000", b"/delay/50"):
            with self.site.connect() as connection:
                connection.sendall(GET % path)
                connection.recv(1000) if path.startswith(b"/bytes") else None
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" * 2)
        self.assertEqual(len(self.site.curl("/bytes/10")), 10)

    def test_ten_thousand_requests_on_five_hundred_connections(self):
        async def client(count):
            reader, writer = await asyncio.open_connection(*self.site.address)
            for _ in range(count):
                writer.write(GET % b"/bytes/10")
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
                assert len(await reader.readexactly(10)) == 10
            writer.close()
            return count

        async def all_clients():
            return sum(await asyncio.gather(*(client(20) for _ in range(500))))

        self.assertEqual(asyncio.run(all_clients()), 10_000)


class Process(unittest.TestCase):
    def test_clients_who_do_not_go_on_are_disconnected(self):
        with Site("--read-timeout", "1") as site:
            with site.connect() as silent, site.connect() as half, site.connect() as idle:
                half.sendall(b"GET / HTTP/1.1\r\nHost")
                idle.sendall(GET % b"/bytes/0")
                self.assertEqual(receive_all(silent), b"")
                self.assertIn(b" 408 Request Timeout\r\n", receive_all(half))
                self.assertIn(b" 200 OK\r\n", receive_all(idle))
            # A page that takes longer than that is none of the client's fault.
            self.assertEqual(site.curl("/delay/1500", "-o", "/dev/null", "-w", "%{http_code}"),
                             "200")

    def test_the_seed_decides_which_requests_fail(self):
        def outcomes(seed):
            with Site("--seed", seed) as site:
                urls = [site.url + "/flaky/50"] * 99
                return site.curl("/flaky/50", *urls)
        self.assertEqual(outcomes("1"), outcomes("1"))
        self.assertNotEqual(outcomes("1"), outcomes("2"))
        self.assertIn("failed", outcomes("1"))
        self.assertIn("worked", outcomes("1"))

    def test_a_signal_lets_requests_end_and_closes_idle_connections(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Site() as site, site.connect() as idle, site.connect() as busy:
                idle.sendall(GET % b"/bytes/1")
                receive_until(idle, b"\r\n\r\n0")
                busy.sendall(GET % b"/delay/500")
                site.curl("/")  # the request before is under way by now
                site.process.send_signal(number)
                self.assertEqual(idle.recv(1), b"")
                answer = receive_all(busy)
                self.assertIn(b"waited 500 ms", answer)
                self.assertIn(b"Connection: close", answer)
                status, errors = site.wait()
                self.assertEqual(status, 0)
                self.assertEqual(errors.count("\n"), 1, errors)
                self.assertIn("stopping", errors)

    def test_a_second_signal_ends_it_at_once(self):
        for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)):
            with Site() as site, site.connect() as busy:
                busy.sendall(GET % b"/delay/60000")
                site.curl("/")
                site.process.send_signal(number)
                self.assertIn("stopping", site.process.stderr.readline())
                site.process.send_signal(number)
                self.assertEqual(site.wait()[0], expected)

    @unittest.skipIf(NEEDS_DESCRIPTORS, "the sanitizer needs descriptors itself")
    def test_without_descriptors_accepting_pauses_and_goes_on_later(self):
        with Site(descriptors=24) as site:
            with contextlib.ExitStack() as stack:
                connections = [stack.enter_context(site.connect()) for _ in range(40)]
                for connection in connections:
                    connection.sendall(GET % b"/bytes/1")
                self.assertIn("accepting pauses for 1 s", site.process.stderr.readline())
                receive_until(connections[0], b"\r\n\r\n0")
            self.assertEqual(len(site.curl("/bytes/10")), 10)

    def test_what_it_cannot_listen_at_is_said(self):
        with Site() as site:
            for arguments, text in (
                    (["--port", str(site.address[1])], "cannot listen at 127.0.0.1:"),
                    (["--host", "localhost"], "'localhost' is no IPv4 or IPv6 address")):
                result = subprocess.run([COMMAND, "site", *arguments], encoding="utf-8",
                                        capture_output=True, timeout=60)
                self.assertEqual(result.returncode, 1)
                self.assertEqual(result.stdout, "")
                self.assertIn(text, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
