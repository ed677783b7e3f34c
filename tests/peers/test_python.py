"""Python's asyncio streams, in both directions, plain and in TLS."""

import asyncio
import ssl
import subprocess
import unittest

from peers import CLIENT, PeerTest, main

LINES = [b"%d\n" % n for n in range(20_000)]


class Client(PeerTest):
    def connect(self, server, context=None):
        return asyncio.open_connection("127.0.0.1", server.port, ssl=context)

    async def exchange(self, reader, writer):
        """Sends lines while it gets them back, then says good-bye."""
        async def send():
            for line in LINES:
                writer.write(line)
                await writer.drain()
        _, *got = await asyncio.gather(send(), *[self.lines_of(reader)])
        self.assertEqual(got, [LINES])
        writer.close()
        await writer.wait_closed()

    async def lines_of(self, reader):
        return [await reader.readline() for _ in LINES]

    def test_python_sends_lines_and_gets_them_back(self):
        server = self.serve("lines")

        async def talk():
            await self.exchange(*await self.connect(server))
        asyncio.run(talk())
        self.assertEqual(server.endings(1), ["end"])

    def test_python_sends_lines_and_gets_them_back_over_tls(self):
        server_options, _ = self.make_certificates()
        server = self.serve("lines", *server_options)

        async def talk():
            await self.exchange(*await self.connect(server, self.client_context()))
        asyncio.run(talk())
        self.assertEqual(server.endings(1), ["end"])

    def test_python_resumes_a_session(self):
        server_options, _ = self.make_certificates()
        server = self.serve("lines", *server_options)
        context = self.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # the session is there with the handshake
        session = None
        for resumed in (False, True):
            with server.connect() as connection, context.wrap_socket(
                    connection, server_hostname="localhost", session=session) as secured:
                secured.sendall(b"hello\n")
                self.assertEqual(secured.recv(6), b"hello\n")
                self.assertEqual(secured.session_reused, resumed)
                session = secured.session

    @unittest.skipUnless(hasattr(asyncio.StreamWriter, "start_tls"), "needs Python 3.11")
    def test_python_goes_on_in_tls_after_a_greeting(self):
        server_options, _ = self.make_certificates()
        server = self.serve("smtp", *server_options)

        async def talk():
            reader, writer = await self.connect(server)
            for command in (b"EHLO\r\n", b"STARTTLS\r\n"):
                await reader.readline()
                writer.write(command)
            await reader.readline()
            await writer.start_tls(self.client_context(), server_hostname="localhost")
            await self.exchange(reader, writer)
        asyncio.run(talk())
        self.assertEqual(server.endings(1), ["end"])


class Server(PeerTest):
    def exchange(self, options, context=None):
        """Our client sends everything to a server of Python's that echoes it."""
        text = b"".join(LINES)

        async def serve():
            async def echo(reader, writer):
                while data := await reader.read(10_000):
                    writer.write(data)
                    await writer.drain()
                writer.close()
            server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
            async with server:
                port = server.sockets[0].getsockname()[1]
                client = await asyncio.create_subprocess_exec(
                    CLIENT, "127.0.0.1", str(port), f"--answer={len(text)}", *options,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                out, _ = await client.communicate(text)
                self.assertEqual((client.returncode, out), (0, text))
        asyncio.run(serve())

    def test_our_client_gets_back_what_it_sends_to_python(self):
        self.exchange([])

    def test_our_client_half_closes_and_gets_back_what_it_sends_to_python(self):
        self.exchange(["--half-close=yes"])

    def test_our_client_gets_back_what_it_sends_to_python_over_tls(self):
        _, client_options = self.make_certificates()
        self.exchange(client_options, self.server_context())


if __name__ == "__main__":
    main()
