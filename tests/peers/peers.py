"""What the drivers here share: programs that end with the test, and a way to run one test.

    test_NAME.py FOLDER TEST        runs one test, with the programs peers_* of the folder

Ports are chosen by the kernel. Nothing here waits for a time: what is waited for is a line, an
end or a state, and ctest stops what never comes.
"""

import contextlib
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import unittest

FOLDER = pathlib.Path(sys.argv[1])
SERVER, CLIENT, CERTIFICATES = (FOLDER / f"peers_{name}"
                                for name in ("server", "client", "certificates"))
# Every program refers to __asan_init, to see whether it is there; only checked code reports.
IS_SANITIZED = any(name in SERVER.read_bytes()
                   for name in (b"__asan_report_load", b"__tsan_func_entry"))
MIB = 1 << 20


def raise_descriptor_limit():
    """Up to what this user may have; returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Program:
    """A program that does not outlive the test, whatever ends that."""

    def __init__(self, *command, **options):
        self.lines = []
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            **{"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def line(self, stream=None):
        """The next line; the empty text at the end."""
        line = (stream or self.process.stdout).readline().decode(errors="replace").rstrip("\n")
        self.lines.append(line)
        return line

    def line_with(self, *texts, stream=None):
        """The next line that has one of the texts; all others are skipped, but not forgotten."""
        return self.line_like("|".join(map(re.escape, texts)), stream)

    def line_like(self, pattern, stream=None):
        """The same for a regular expression."""
        while line := self.line(stream):
            if re.search(pattern, line):
                return line
        raise AssertionError(f"no line like {pattern!r} in {self.lines}")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def peak_memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


class Server(Program):
    """Our server. At the end it must stop when it is asked to, with all that it has open."""

    def __init__(self, protocol, *options, prefix=(), **popen):
        super().__init__(*prefix, SERVER, protocol, *options, **popen)
        self.port = int(self.line_with("port ").split()[1])

    def __exit__(self, kind, *error):
        if kind is None:
            self.process.terminate()
            assert self.line_with("stopped") and self.process.wait() == 0, self.lines
        super().__exit__(kind, *error)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def endings(self, count):
        """How so many connections ended. Lines of the log may have these words, too."""
        return [self.line_like("^end$|^error: ") for _ in range(count)]


class PeerTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def enterContext(self, context):  # Python 3.11 has it
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def start(self, *command, **options):
        return self.enterContext(Program(*command, **options))

    def serve(self, protocol, *options, **more):
        return self.enterContext(Server(protocol, *options, **more))

    def run_program(self, *command, input=b"", **options):
        """Runs a program that must succeed; returns what it prints."""
        with Program(*command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, **options) as program:
            out, errors = program.process.communicate(input)
            self.assertEqual((program.process.returncode, errors), (0, errors), errors.decode())
            return out

    def error_of(self, *command, input=b"", **options):
        """Runs a program that must fail; returns its complaint."""
        with Program(*command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, **options) as program:
            errors = program.process.communicate(input)[1].decode()
            self.assertGreater(program.process.returncode, 0, errors)
            return errors

    def make_certificates(self):
        """Returns the options of a server with TLS, and those of a client."""
        self.run_program(CERTIFICATES, self.folder)
        return [self.tls_server()], [self.tls_client()]

    def tls_server(self, name="server"):
        return f"--tls={self.folder}/{name}.pem"

    def tls_client(self):
        return f"--tls={self.folder}/authority.pem"

    def client_context(self):
        return ssl.create_default_context(cafile=self.folder / "authority.pem")

    def server_context(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.folder / "server.pem")
        return context

    def need(self, *programs):
        for program in programs:
            if not shutil.which(program):
                self.skipTest(f"{program} is not installed")


def reset(connection):
    """Closes a socket so that the peer gets a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def main():
    test = sys.argv[2]
    program = unittest.main(argv=[sys.argv[0], "-k", f"*.test_{test}"], exit=False, verbosity=2)
    result = program.result
    if result.testsRun == 0:
        sys.exit(f"there is no test {test}")
    # ctest is told of a test that was skipped by this status.
    sys.exit(not result.wasSuccessful() or (77 if result.skipped else 0))
