"""Peers that break off, that are slow, that say nonsense: an error each, and nothing is left."""

import random
import select
import ssl

from peers import CLIENT, PeerTest, main, reset


class Faults(PeerTest):
    def serve_watched(self, protocol, *options):
        """A server, and a check that it has what it had before, and serves on."""
        server = self.serve(protocol, *options)
        self.assertEqual(self.ask(server), b"hello\n")
        server.endings(1)
        before = server.descriptors()

        def check():
            self.assertEqual(self.ask(server), b"hello\n")
            server.endings(1)
            self.assertEqual(server.descriptors(), before, server.lines)
        return server, check

    def ask(self, server):
        options = [self.tls_client()] if (self.folder / "authority.pem").exists() else []
        return self.run_program(CLIENT, "127.0.0.1", server.port, "--answer=6", *options,
                                input=b"hello\n")

    def say_hello(self, connection):
        connection.sendall(b"hello\n")
        self.assertEqual(connection.recv(6), b"hello\n")

    def serve_tls(self, *options):
        server_options, _ = self.make_certificates()
        return self.serve_watched("lines", *server_options, *options)

    # ---- plain

    def test_a_reset_is_an_error(self):
        server, check = self.serve_watched("lines")
        connection = server.connect()
        self.say_hello(connection)
        reset(connection)
        self.assertIn("Connection reset by peer", server.endings(1)[0])
        check()

    def test_a_reset_while_much_waits_to_be_sent_is_an_error(self):
        server, check = self.serve_watched("echo")
        with server.connect() as connection:
            said = server.process.stdout
            while said not in select.select([said], [connection], [])[0]:
                connection.send(bytes(1024))
            server.line_with("full")
            reset(connection)
        self.assertIn("error: system_error", server.endings(1)[0])
        check()

    def test_a_client_that_half_closed_still_gets_its_answer(self):
        server, check = self.serve_watched("lines")
        with server.connect() as connection:
            connection.sendall(b"no newline")
            connection.shutdown(1)
            self.assertEqual(connection.recv(100), b"no newline")
            self.assertEqual(connection.recv(100), b"")
        self.assertEqual(server.endings(1), ["end"])
        check()

    def test_a_killed_client_ends_its_connection(self):
        server, check = self.serve_watched("lines")
        client = self.start(CLIENT, "127.0.0.1", server.port, stdin=-1)
        client.process.stdin.write(b"hello\n")
        client.process.stdin.close()
        self.assertEqual(client.line(), "hello")
        client.process.kill()
        self.assertEqual(server.endings(1), ["end"])  # the kernel closes, as if it had wanted to
        check()

    def test_connections_that_are_reset_before_they_are_accepted_cost_nothing(self):
        server, check = self.serve_watched("lines")
        for _ in range(300):
            reset(server.connect())
        server.endings(300)
        check()

    # ---- TLS

    def begin_tls(self, server):
        """A connection, its end of TLS, and what it wants to send first."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        return server.connect(), incoming, outgoing, tls

    def handshake(self, connection, incoming, tls):
        while True:
            try:
                return tls.do_handshake()
            except ssl.SSLWantReadError:
                incoming.write(connection.recv(65536))

    def test_a_handshake_that_comes_byte_by_byte_holds_up_nobody(self):
        server, check = self.serve_tls()
        connection, incoming, outgoing, tls = self.begin_tls(server)
        hello = outgoing.read()
        for place, byte in enumerate(hello):
            connection.sendall(bytes([byte]))
            if place % 100 == 0:
                self.assertEqual(self.ask(server), b"hello\n")
                server.endings(1)
        self.handshake(connection, incoming, tls)
        tls.write(b"slow\n")
        for byte in outgoing.read():
            connection.sendall(bytes([byte]))
        while True:
            try:
                self.assertEqual(tls.read(100), b"slow\n")
                break
            except ssl.SSLWantReadError:
                incoming.write(connection.recv(65536))
        connection.close()
        self.assertIn("SSLEOFError", server.endings(1)[0])
        check()

    def test_a_handshake_that_is_not_finished_in_time_is_broken_off(self):
        server, check = self.serve_tls("--handshake-timeout=500", "--debug=yes")
        connection, _, outgoing, _ = self.begin_tls(server)
        connection.sendall(outgoing.read()[:50])
        self.assertEqual(connection.recv(100), b"")
        self.assertIn("takes longer than 0.5 seconds", server.line_with("timed out"))
        connection.close()
        check()

    def test_a_handshake_that_is_cut_off_at_any_byte_is_an_error(self):
        server, check = self.serve_tls("--debug=yes")
        connection, incoming, outgoing, tls = self.begin_tls(server)
        hello = outgoing.read()
        connection.sendall(hello)
        self.handshake(connection, incoming, tls)
        rest = outgoing.read()
        connection.close()
        server.line_with("TLS failed")
        for cut in range(0, len(hello), 20):
            with server.connect() as connection:
                connection.sendall(hello[:cut])
            server.line_with("TLS failed: SSL")
        # The same for what the client answers; for each connection that is another text.
        for cut in range(0, len(rest), 10):
            connection, incoming, outgoing, tls = self.begin_tls(server)
            connection.sendall(outgoing.read())
            self.handshake(connection, incoming, tls)
            with connection:
                connection.sendall(outgoing.read()[:cut])
            server.line_with("TLS failed")
        check()

    def test_data_that_is_cut_off_in_the_middle_of_a_record_is_an_error(self):
        server, check = self.serve_tls()
        connection, incoming, outgoing, tls = self.begin_tls(server)
        connection.sendall(outgoing.read())
        self.handshake(connection, incoming, tls)
        tls.write(bytes(10_000))
        with connection:
            connection.sendall(outgoing.read()[:-1])
            connection.shutdown(1)
            self.assertIn("SSLEOFError", server.endings(1)[0])
        check()

    def test_a_changed_byte_is_an_error(self):
        server, check = self.serve_tls()
        connection, incoming, outgoing, tls = self.begin_tls(server)
        connection.sendall(outgoing.read())
        self.handshake(connection, incoming, tls)
        connection.sendall(outgoing.read())
        tls.write(b"hello\n")
        record = bytearray(outgoing.read())
        record[-1] ^= 1
        with connection:
            connection.sendall(record)
            self.assertIn("bad record mac", server.endings(1)[0])
        check()

    def test_a_reset_of_tls_is_an_error(self):
        server, check = self.serve_tls()
        connection = self.client_context().wrap_socket(server.connect(),
                                                       server_hostname="localhost")
        self.say_hello(connection)
        reset(connection)
        self.assertIn("Connection reset by peer", server.endings(1)[0])
        check()

    def test_nonsense_instead_of_a_handshake_is_an_error(self):
        server, check = self.serve_tls("--debug=yes")
        seed = random.randrange(1 << 32)
        print("seed", seed)
        numbers = random.Random(seed)
        for text in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(70_000),
                     b"\x17" + numbers.randbytes(1000)):
            with server.connect() as connection:
                connection.sendall(text)
                server.line_with("TLS failed")
        check()


if __name__ == "__main__":
    main()
