"""openssl s_client against our server, and our client against openssl s_server."""

import subprocess

from peers import CLIENT, PeerTest, main


class SClient(PeerTest):
    def s_client(self, server, *arguments):
        return self.start("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}",
                          "-CAfile", self.folder / "authority.pem", "-verify_return_error",
                          "-verify_ip", "127.0.0.1", "-quiet", *arguments,
                          stdin=subprocess.PIPE, stderr=subprocess.STDOUT)

    def talk(self, client):
        client.process.stdin.write(b"hello\n")
        client.process.stdin.flush()
        client.line_with("hello")

    def setUp(self):
        super().setUp()
        self.need("openssl")
        self.server_options, _ = self.make_certificates()

    def test_s_client_says_good_bye(self):
        server = self.serve("lines", *self.server_options)
        client = self.s_client(server, "-no_ign_eof")
        self.talk(client)
        client.process.stdin.close()
        self.assertEqual(server.endings(1), ["end"])
        self.assertEqual(client.process.wait(), 0)

    def test_s_client_that_is_killed_is_an_error_because_it_says_no_good_bye(self):
        server = self.serve("lines", *self.server_options)
        client = self.s_client(server)
        self.talk(client)
        client.process.kill()
        self.assertIn("SSLEOFError", server.endings(1)[0])

    def test_s_client_with_tls_1_2_and_another_curve(self):
        server = self.serve("lines", *self.server_options)
        client = self.s_client(server, "-tls1_2", "-groups", "P-384:P-256",
                               "-no_ign_eof")
        self.talk(client)
        client.process.stdin.close()
        self.assertEqual(server.endings(1), ["end"])

    def test_s_client_updates_its_keys_in_the_middle(self):
        server = self.serve("lines", *self.server_options)
        # Without -quiet, a line "K" asks for new keys of both sides.
        client = self.start("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}",
                            "-CAfile", self.folder / "authority.pem",
                            stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
        client.process.stdin.write(b"K\n")
        client.process.stdin.flush()
        client.line_with("KEYUPDATE")
        self.talk(client)
        client.process.stdin.write(b"Q\n")
        client.process.stdin.close()
        self.assertEqual(server.endings(1), ["end"])

    def test_s_client_of_an_old_version_is_refused_and_the_server_goes_on(self):
        server = self.serve("lines", *self.server_options, "--debug=yes")
        old = self.s_client(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertIn("unsupported protocol", server.line_with("TLS failed"))
        old.line_with("alert protocol version")
        self.talk(self.s_client(server))

    def test_s_client_goes_on_in_tls_after_a_greeting(self):
        server = self.serve("smtp", *self.server_options)
        client = self.s_client(server, "-starttls", "smtp", "-no_ign_eof")
        self.talk(client)
        client.process.stdin.close()
        self.assertEqual(server.endings(1), ["end"])


class SServer(PeerTest):
    def s_server(self, *arguments, certificate="server"):
        """Starts s_server; returns it and its port."""
        self.need("openssl")
        self.make_certificates()
        # It counts the bytes that it may read from its own input as a reason to end.
        server = self.start("openssl", "s_server", "-accept", "127.0.0.1:0",
                            "-cert", self.folder / f"{certificate}.pem", "-naccept", "1",
                            *arguments, stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
        return server, server.line_with("ACCEPT ").rsplit(":", 1)[1]

    def test_s_server_sends_lines_back_in_reverse(self):
        server, port = self.s_server("-rev")
        out = self.run_program(CLIENT, "127.0.0.1", port, self.tls_client(), "--answer=6",
                               input=b"hello\n")
        self.assertEqual(out, b"olleh\n")

    def test_s_server_gives_a_page(self):
        _, port = self.s_server("-www")
        out = self.run_program(CLIENT, "127.0.0.1", port, self.tls_client(),
                               input=b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"TLSv1.3", out)

    def test_s_server_of_tls_1_2_gives_a_page(self):
        _, port = self.s_server("-www", "-tls1_2")
        out = self.run_program(CLIENT, "127.0.0.1", port, self.tls_client(),
                               input=b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"TLSv1.2", out)

    def test_s_server_with_a_certificate_for_another_name_is_an_error_that_names_both(self):
        _, port = self.s_server(certificate="elsewhere")
        error = self.error_of(CLIENT, "127.0.0.1", port, self.tls_client())
        self.assertIn("SSLCertVerificationError", error)
        self.assertIn("127.0.0.1", error)

    def test_s_server_asks_for_a_certificate(self):
        server, port = self.s_server("-rev", "-Verify", "3", "-verify_return_error",
                                     "-CAfile", self.folder / "authority.pem")
        self.run_program(CLIENT, "127.0.0.1", port, self.tls_client(), "--answer=1",
                         f"--certificate={self.folder}/client.pem", input=b"\n")
        server.line_with("CN = client")

    def test_s_server_that_is_killed_is_an_error(self):
        server, port = self.s_server()
        client = self.start(CLIENT, "127.0.0.1", port, self.tls_client(), stderr=subprocess.PIPE)
        server.process.stdin.write(b"hello\n")
        server.process.stdin.flush()
        self.assertEqual(client.line(), "hello")
        server.process.kill()
        self.assertIn("SSLEOFError", client.line(client.process.stderr))
        self.assertEqual(client.process.wait(), 1)


if __name__ == "__main__":
    main()
