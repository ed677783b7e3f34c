"""redis-cli and redis-benchmark against a small server of their protocol on our streams."""

from peers import PeerTest, main


class Redis(PeerTest):
    def setUp(self):
        super().setUp()
        self.need("redis-cli", "redis-benchmark")

    def redis_cli(self, server, *arguments, **options):
        return self.run_program("redis-cli", "-p", server.port, *arguments, **options).decode()

    def test_redis_cli_sets_a_value_and_gets_it_on_another_connection(self):
        server = self.serve("resp")
        self.assertEqual(self.redis_cli(server, "ping"), "PONG\n")
        self.assertEqual(self.redis_cli(server, "set", "key", "a value"), "OK\n")
        self.assertEqual(self.redis_cli(server, "get", "key"), "a value\n")
        self.assertIn("ERR unknown command", self.redis_cli(server, "hgetall", "key"))
        self.assertEqual(server.endings(4), ["end"] * 4)

    def test_redis_cli_sets_a_value_over_tls(self):
        server_options, _ = self.make_certificates()
        server = self.serve("resp", *server_options)
        tls = ("--tls", "--cacert", self.folder / "authority.pem")
        self.assertEqual(self.redis_cli(server, *tls, "set", "key", "x" * 100_000), "OK\n")
        self.assertEqual(self.redis_cli(server, *tls, "get", "key"), "x" * 100_000 + "\n")

    def test_redis_cli_pipes_a_hundred_thousand_commands(self):
        server = self.serve("resp")
        out = self.redis_cli(server, "--pipe", input=b"".join(
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%d\r\n" % (len(str(n)), n)
            for n in range(100_000)))
        self.assertIn("errors: 0, replies: 100000", out)
        self.assertEqual(self.redis_cli(server, "get", "k"), "99999\n")

    def test_redis_benchmark_is_served_fifty_connections_with_pipelines(self):
        server = self.serve("resp")
        out = self.run_program("redis-benchmark", "-p", server.port, "-t", "set,get", "-c", "50",
                               "-P", "16", "-n", "20000", "--csv").decode()
        self.assertEqual([line.split(",")[0] for line in out.splitlines()[-2:]],
                         ['"SET"', '"GET"'], out)


if __name__ == "__main__":
    main()
