"""curl against an HTTP server on our streams."""

from peers import PeerTest, main


class Curl(PeerTest):
    def setUp(self):
        super().setUp()
        self.need("curl")

    def curl(self, server, *arguments, scheme="http", path="/", host="127.0.0.1"):
        return self.run_program("curl", "-sS", "--noproxy", "*", *arguments,
                                f"{scheme}://{host}:{server.port}{path}").decode()

    def serve_tls(self, *options):
        server_options, _ = self.make_certificates()
        self.trust = ("--cacert", self.folder / "authority.pem")
        return self.serve("http", *server_options, *options)

    def test_gets_a_page(self):
        server = self.serve("http")
        self.assertEqual(self.curl(server, path="/page?1"), "GET /page?1\n")
        self.assertEqual(server.endings(1), ["end"])

    def test_gets_a_page_over_tls_1_3(self):
        server = self.serve_tls("--alpn=http/1.1")
        out = self.curl(server, *self.trust, "-v", "--stderr", "-", scheme="https")
        self.assertIn("GET /\n", out)
        self.assertIn("TLSv1.3", out)
        self.assertIn("ALPN: server accepted http/1.1", out)
        self.assertEqual(server.endings(1), ["end"])

    def test_gets_a_page_over_tls_1_2(self):
        server = self.serve_tls()
        self.assertEqual(self.curl(server, *self.trust, "--tls-max", "1.2", scheme="https"),
                         "GET /\n")
        self.assertEqual(server.endings(1), ["end"])

    def test_uses_one_connection_for_several_pages(self):
        server = self.serve("http")
        out = self.curl(server, "-w", "%{num_connects}\n", f"http://127.0.0.1:{server.port}/1",
                        path="/2")
        self.assertEqual(out, "GET /1\n1\nGET /2\n0\n")
        self.assertEqual(server.endings(1), ["end"])

    def test_posts_megabytes_and_gets_them_back(self):
        body = bytes(range(256)) * 20_000
        server = self.serve("http")
        out = self.file("out", b"")
        self.curl(server, "--data-binary", f"@{self.file('body', body)}", "-o", out)
        self.assertEqual(out.read_bytes(), b"POST /\n" + body)

    def test_posts_megabytes_over_tls_and_gets_them_back(self):
        body = bytes(range(256)) * 20_000
        server = self.serve_tls()
        out = self.file("out", b"")
        self.curl(server, *self.trust, "--data-binary", f"@{self.file('body', body)}", "-o", out,
                  scheme="https")
        self.assertEqual(out.read_bytes(), b"POST /\n" + body)

    def test_makes_a_hundred_requests_at_once(self):
        server = self.serve("http")
        out = self.curl(server, "--parallel", "--parallel-immediate", "--parallel-max", "100",
                        path="/[1-100]")
        self.assertEqual(sorted(out.splitlines()), sorted(f"GET /{n}" for n in range(1, 101)))

    def test_refuses_a_certificate_for_another_name(self):
        self.make_certificates()
        server = self.serve("http", self.tls_server("elsewhere"))
        url = f"https://localhost:{server.port}/"
        trust = ("--cacert", self.folder / "authority.pem")
        self.assertIn("no alternative certificate subject name",
                      self.error_of("curl", "-sS", "--noproxy", "*", *trust, url))
        # What the server notices depends on who is faster: the end, or a connection that is gone.
        server.endings(1)

    def test_shows_the_certificate_that_the_server_asks_for(self):
        server = self.serve_tls(f"--authority={self.folder}/authority.pem", "--debug=yes")
        self.assertEqual(self.curl(server, *self.trust, "--cert", self.folder / "client.pem",
                                   scheme="https"), "GET /\n")
        self.assertEqual(server.endings(1), ["end"])
        self.error_of("curl", "-sS", "--noproxy", "*", *self.trust,
                      f"https://127.0.0.1:{server.port}/")
        self.assertIn("SSLError: peer did not return a certificate", server.line_with("TLS failed"))


if __name__ == "__main__":
    main()
