"""Many connections at once, and clients that are slow: nobody waits for another."""

import ssl

from peers import CLIENT, IS_SANITIZED, MIB, PeerTest, main, raise_descriptor_limit


class Load(PeerTest):
    def crowd(self, count, server_options=(), client_options=()):
        limit = raise_descriptor_limit()
        print("the limit of descriptors is", limit)
        if limit < count + 100:
            self.skipTest(f"{count} connections need {count + 100} descriptors, and the limit of "
                          f"{limit} cannot be raised")
        server = self.serve("lines", *server_options)
        before = server.descriptors()
        out = self.run_program(CLIENT, "127.0.0.1", server.port, f"--crowd={count}",
                               *client_options)
        self.assertEqual(out.decode(), f"{count} were open at once\n")
        self.assertEqual(server.endings(count), ["end"] * count)
        self.assertEqual(server.descriptors(), before)

    def test_ten_thousand_connections_are_open_at_once(self):
        self.crowd(1_000 if IS_SANITIZED else 10_000)

    def test_a_thousand_connections_of_tls_are_open_at_once(self):
        server_options, client_options = self.make_certificates()
        self.crowd(100 if IS_SANITIZED else 1_000, server_options, client_options)

    def test_a_server_short_of_descriptors_says_so_and_recovers(self):
        if IS_SANITIZED:
            self.skipTest("UBSan opens descriptors of its own, and there are none left")
        server = self.serve("lines", prefix=["prlimit", "--nofile=40"])
        connections = [server.connect() for _ in range(60)]
        self.assertIn("out of system resource", server.line_with("report"))
        for connection in connections:
            connection.sendall(b"x\n")
            connection.shutdown(1)
            self.assertEqual(connection.recv(2), b"x\n")
            connection.close()
        self.assertEqual(server.endings(60), ["end"] * 60)

    def memory_of_a_flood(self, server, connect, would_block):
        """Sends until nobody takes any more, at most 16 MiB on each of 16 connections, and reads
        nothing; returns how much the server's memory has grown for each."""
        other, *connections = (connect() for _ in range(17))
        before = server.peak_memory()
        sent = 0
        for connection in connections:
            connection.setblocking(False)
            refusals = 0
            for _ in range(16 * MIB // 65536):
                try:
                    sent += connection.send(bytes(65536))
                    refusals = 0
                except would_block:
                    # The server has had a turn to read when it has answered somebody else.
                    other.sendall(b"x")
                    self.assertEqual(other.recv(1), b"x")
                    refusals += 1
                if refusals == 5:
                    break
        grown = (server.peak_memory() - before) / len(connections)
        print(f"{sent // MIB} MiB were sent, memory grew by {grown / 1024} KiB for each")
        for connection in (other, *connections):
            connection.close()
        return grown

    # A connection keeps at most twice the limit of its reader and one more receive, the limit of
    # its writer and the piece that exceeded it, 64 KiB each, in memory that grows by doubling.
    # In TLS there are the records that have come, and those that are made, besides.
    def test_clients_that_read_nothing_grow_no_memory(self):
        server = self.serve("echo")
        grown = self.memory_of_a_flood(server, server.connect, BlockingIOError)
        if not IS_SANITIZED:  # what is freed stays with the sanitizer
            self.assertLess(grown, 2 * 5 * 65536)

    def test_clients_of_tls_that_read_nothing_grow_no_memory(self):
        server_options, _ = self.make_certificates()
        server = self.serve("echo", *server_options)
        context = self.client_context()

        def connect():
            return context.wrap_socket(server.connect(), server_hostname="localhost")
        grown = self.memory_of_a_flood(server, connect,
                                       (ssl.SSLWantWriteError, ssl.SSLWantReadError))
        if not IS_SANITIZED:
            self.assertLess(grown, 2 * 7 * 65536)

    def test_a_client_that_sends_a_byte_now_and_then_holds_up_nobody(self):
        server = self.serve("lines")
        with server.connect() as slow:
            for place in range(30):
                slow.sendall(b"%c" % (97 + place % 26))
                with server.connect() as other:
                    other.sendall(b"x\n")
                    self.assertEqual(other.recv(2), b"x\n")
            slow.sendall(b"\n")
            self.assertEqual(slow.recv(100), b"abcdefghijklmnopqrstuvwxyzabcd\n")


if __name__ == "__main__":
    main()
