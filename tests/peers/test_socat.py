"""socat, in both directions, plain and in TLS."""

from peers import CLIENT, PeerTest, main

TEXT = b"".join(b"%d\n" % n for n in range(200_000))


class Socat(PeerTest):
    def setUp(self):
        super().setUp()
        self.need("socat")

    def listen(self, kind, options=""):
        """Starts socat as an echo server; returns its port."""
        server = self.start("socat", "-d", "-d", f"{kind}:0,bind=127.0.0.1{options}",
                            "SYSTEM:cat", stderr=-1)
        return server.line_with("listening on", stream=server.process.stderr).rsplit(":", 1)[1]

    def test_socat_sends_a_megabyte_half_closes_and_gets_all_of_it_back(self):
        server = self.serve("echo")
        self.assertEqual(self.run_program("socat", "-t", "60", "-", f"TCP:127.0.0.1:{server.port}",
                                          input=TEXT), TEXT)
        self.assertEqual(server.endings(1), ["end"])

    def test_socat_as_a_server_gets_a_half_close_and_sends_all_of_it_back(self):
        port = self.listen("TCP-LISTEN")
        self.assertEqual(self.run_program(CLIENT, "127.0.0.1", port, "--half-close=yes",
                                          input=TEXT), TEXT)

    def test_socat_speaks_tls_with_our_server(self):
        server_options, _ = self.make_certificates()
        server = self.serve("http", *server_options)
        # At the end of its input it says good-bye, and TLS has no half-close here: it stays open.
        client = self.start(
            "socat", "-", f"OPENSSL:localhost:{server.port},pf=ip4,"
            f"cafile={self.folder}/authority.pem", stdin=-1)
        client.process.stdin.write(b"GET /socat HTTP/1.1\r\nConnection: close\r\n\r\n")
        client.process.stdin.flush()
        client.line_with("GET /socat")
        self.assertEqual(server.endings(1), ["end"])

    def test_socat_as_a_tls_server_sends_everything_back(self):
        self.make_certificates()
        port = self.listen("OPENSSL-LISTEN", f",cert={self.folder}/server.pem,verify=0")
        self.assertEqual(self.run_program(CLIENT, "127.0.0.1", port, self.tls_client(),
                                          f"--answer={len(TEXT)}", input=TEXT), TEXT)


if __name__ == "__main__":
    main()
