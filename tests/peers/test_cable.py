"""A cable that is cut: two network namespaces, and the link between them goes down.

Nothing comes from the other end then, not even a refusal. What tells is a deadline of the
program's own, or the kernel's questions (SO_KEEPALIVE) and its patience (TCP_USER_TIMEOUT).
"""

import os
import subprocess
import sys

from peers import CLIENT, SERVER, PeerTest, Program, main

INSIDE = "ASYNCIO_TEST_INSIDE_NAMESPACE"
HERE, THERE = "10.77.0.1", "10.77.0.2"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Cable(PeerTest):
    def setUp(self):
        super().setUp()
        # The server's end of the cable is in a namespace of its own, which ends with it.
        ip("link", "set", "lo", "up")
        ip("link", "add", "here", "type", "veth", "peer", "name", "there")
        self.server = self.start("unshare", "--net", "sh", "-c", f"""
            echo waits; read go
            ip link set there up && ip addr add {THERE}/24 dev there && exec "$@" """,
                                 "sh", SERVER, "lines", f"--host={THERE}",
                                 *self.make_certificates()[0][:self.has_tls()], stdin=-1)
        self.server.line_with("waits")
        ip("link", "set", "there", "netns", str(self.server.process.pid))
        ip("link", "set", "here", "up")
        ip("addr", "add", f"{HERE}/24", "dev", "here")
        self.server.process.stdin.write(b"go\n")
        self.server.process.stdin.close()
        self.port = self.server.line_with("port ").split()[1]

    def has_tls(self):
        return "tls" in self.id()

    def error_when_cut(self, *options):
        """The client's error when the cable is cut while it reads."""
        options += (self.tls_client(),)[:self.has_tls()]
        client = self.enterContext(Program(CLIENT, THERE, self.port, *options, stdin=-1, stderr=-1))
        client.process.stdin.write(b"hello\n")
        client.process.stdin.close()
        self.assertEqual(client.line(), "hello")
        ip("link", "set", "here", "down")
        error = client.line(client.process.stderr)
        self.assertEqual(client.process.wait(), 1)
        return error

    def test_a_timeout_around_a_read_ends_it(self):
        self.assertIn("TimeoutError", self.error_when_cut("--timeout=1000"))

    def test_a_timeout_around_a_read_of_tls_ends_it(self):
        self.assertIn("TimeoutError", self.error_when_cut("--timeout=1000"))

    def test_keepalive_ends_a_read(self):
        self.assertRegex(self.error_when_cut("--keepalive=1"), "timed out|No route to host")

    def test_keepalive_ends_a_read_of_tls(self):
        self.assertRegex(self.error_when_cut("--keepalive=1"), "timed out|No route to host")

    def test_connecting_over_a_cut_cable_is_an_error(self):
        ip("link", "set", "here", "down")
        self.assertIn(f"cannot connect to {THERE}:{self.port}",
                      self.error_of(CLIENT, THERE, self.port))


def run_in_namespace():
    """Goes on in network and user namespaces of its own, as root there."""
    command = ["unshare", "--map-root-user", "--net"]
    try:
        check = subprocess.run([*command, "ip", "link", "add", "type", "veth"],
                               capture_output=True, text=True)
        problem = check.stderr
    except FileNotFoundError as missing:
        problem = str(missing)
    if problem:
        print("skipped: no network namespace with a cable can be made here:", problem)
        sys.exit(77)
    os.environ[INSIDE] = "yes"
    os.execvp(command[0], [*command, sys.executable, *sys.argv])


if __name__ == "__main__":
    if INSIDE not in os.environ:
        run_in_namespace()
    main()
