"""nginx: our client asks it, and it asks our server."""

import os
import subprocess
import textwrap

from peers import CLIENT, PeerTest, main

REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Nginx(PeerTest):
    def setUp(self):
        super().setUp()
        os.environ["PATH"] += ":/usr/sbin"
        self.need("nginx")

    def nginx(self, server, listen="", http=""):
        """Starts nginx with one server; returns the path of the socket that it listens at."""
        # It would not tell which port the kernel chose.
        path = self.folder / "socket"
        config = self.file("nginx.conf", textwrap.dedent(f"""
            daemon off; master_process off; pid {self.folder}/pid; error_log stderr notice;
            events {{}}
            http {{
                access_log off;
                client_body_temp_path {self.folder}; proxy_temp_path {self.folder};
                fastcgi_temp_path {self.folder}; uwsgi_temp_path {self.folder};
                scgi_temp_path {self.folder};
                {http}
                server {{ listen unix:{path} {listen}; {server} }}
            }}""").encode())
        program = self.start("nginx", "-p", self.folder, "-c", config, stderr=subprocess.PIPE)
        program.line_with("event method", stream=program.process.stderr)  # it listens by now
        return path

    def make_tls(self):
        self.make_certificates()
        return "".join(f"{name} {self.folder}/server.pem;"
                       for name in ("ssl_certificate", "ssl_certificate_key"))

    def get(self, socket, path, *options):
        answer = self.run_program(CLIENT, socket, 0, "--name=localhost", *options,
                                  input=REQUEST % path)
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"), head)
        return body

    def test_our_client_gets_ten_megabytes(self):
        body = bytes(range(256)) * 40_000
        self.file("big", body)
        self.assertEqual(self.get(self.nginx(f"root {self.folder};"), b"/big"), body)

    def test_our_client_gets_ten_megabytes_over_tls(self):
        tls = self.make_tls()
        body = bytes(range(256)) * 40_000
        self.file("big", body)
        socket = self.nginx(f"root {self.folder};", "ssl", tls)
        self.assertEqual(self.get(socket, b"/big", self.tls_client()), body)

    def test_nginx_asks_our_server(self):
        upstream = self.serve("http")
        socket = self.nginx(f"location / {{ proxy_pass http://127.0.0.1:{upstream.port}; }}")
        self.assertEqual(self.get(socket, b"/page"), b"GET /page\n")
        self.assertEqual(upstream.endings(1), ["end"])

    def test_nginx_keeps_its_connection_to_our_server_for_the_next_client(self):
        upstream = self.serve("http")
        socket = self.nginx(
            'location / { proxy_pass http://ours; proxy_http_version 1.1;'
            ' proxy_set_header Connection ""; }',
            http=f"upstream ours {{ server 127.0.0.1:{upstream.port}; keepalive 1; }}")
        descriptors = None
        for n in range(3):
            self.assertEqual(self.get(socket, b"/%d" % n), b"GET /%d\n" % n)
            self.assertEqual(upstream.descriptors(), descriptors or upstream.descriptors())
            descriptors = upstream.descriptors()

    def test_nginx_asks_our_server_over_tls_and_verifies_it(self):
        tls = self.make_tls()
        upstream = self.serve("http", self.tls_server())
        socket = self.nginx(
            f"location / {{ proxy_pass https://localhost:{upstream.port};"
            f" proxy_ssl_verify on; proxy_ssl_trusted_certificate {self.folder}/authority.pem; }}",
            "ssl", tls)
        self.assertEqual(self.get(socket, b"/page", self.tls_client()), b"GET /page\n")


if __name__ == "__main__":
    main()
