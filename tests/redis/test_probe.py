"""The first question to Redis: a stream that can be used, or one line."""

from __future__ import annotations

import contextlib
import socket
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from sockserve.redis import probe as module
from sockserve.redis.address import RedisAddress, parse_address
from sockserve.redis.commands import Unavailable
from sockserve.redis.probe import probe
from tests.support.authority import Authority
from tests.support.redis import RedisServer, free_port


class ProbeTests(SynchronousTestCase):
    def problem(self, url: str, key: str = "k") -> str:
        return str(self.assertRaises(Unavailable, probe, parse_address(url), key))

    def test_where_a_stream_ends(self) -> None:
        redis = RedisServer(self)
        address = parse_address(redis.url)
        self.assertEqual(probe(address, "k"), (0, "0-0"))
        redis.ask(("XADD", "k", "5-1", "f", "v"), ("XADD", "k", "5-2", "f", "v"), ("XTRIM", "k", "MAXLEN", 1))
        self.assertEqual(probe(address, "k"), (2, "5-2"))
        self.assertEqual(redis.ask(("XLEN", "k")), 1)

    def test_a_database_of_its_own(self) -> None:
        redis = RedisServer(self)
        redis.ask(("SELECT", 3), ("XADD", "k", "5-1", "f", "v"))
        self.assertEqual(probe(parse_address(f"{redis.url}?db=3"), "k"), (1, "5-1"))
        self.assertEqual(probe(parse_address(redis.url), "k"), (0, "0-0"))
        self.assertEqual(self.problem(f"{redis.url}?db=99"), "DB index is out of range")

    def test_passwords(self) -> None:
        redis = RedisServer(self, "--requirepass", "right", "--user", "ann", "on", ">pw", "~k", "+@all")
        self.assertEqual(probe(parse_address(f"unix://:right@{redis.path}"), "k"), (0, "0-0"))
        self.assertEqual(probe(parse_address(f"unix://ann:pw@{redis.path}"), "k"), (0, "0-0"))
        self.assertEqual(self.problem(redis.url), "NOAUTH Authentication required.")
        wrong = "WRONGPASS invalid username-password pair or user is disabled."
        self.assertEqual(self.problem(f"unix://:wrong@{redis.path}"), wrong)
        self.assertIn("NOPERM", self.problem(f"unix://ann:pw@{redis.path}", "other"))

    def test_what_is_no_stream(self) -> None:
        redis = RedisServer(self)
        redis.ask(("SET", "k", "v"))
        self.assertIn("WRONGTYPE", self.problem(redis.url))

    def test_a_replica_cannot_be_written(self) -> None:
        redis = RedisServer(self, "--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "yes")
        self.assertIn("READONLY", self.problem(redis.url))

    def test_over_tcp_and_tls(self) -> None:
        authority = Authority(self.mktemp())
        plain, secure = free_port(), free_port()
        RedisServer(
            self,
            *("--port", str(plain), "--tls-port", str(secure), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(authority.server), "--tls-key-file", str(authority.server)),
        )
        self.assertEqual(probe(parse_address(f"redis://127.0.0.1:{plain}"), "k"), (0, "0-0"))
        self.assertEqual(probe(parse_address(f"rediss://localhost:{secure}?roots={authority.ca}"), "k"), (0, "0-0"))
        self.assertIn("certificate verify failed", self.problem(f"rediss://localhost:{secure}"))
        self.problem(f"redis://localhost:{secure}")

    def test_nobody_listens(self) -> None:
        self.assertEqual(self.problem(f"redis://127.0.0.1:{free_port()}"), "[Errno 111] Connection refused")
        self.assertEqual(self.problem("unix:///no/such/socket"), "[Errno 2] No such file or directory")
        self.assertIn("[Errno", self.problem("redis://no.such.host.invalid"))

    def test_others_than_redis(self) -> None:
        self.patch(module, "TIMEOUT", 0.2)
        for said, words in (
            (b"HTTP/1.1 400 Bad Request\r\n", "this is no answer of Redis: HTTP/1.1 400 Bad Request"),
            (b"$many\r\n", "invalid literal"),
            (b"+OK\r\n:7\r\n", "this is no answer of Redis: 7"),
            (b"\x1b[2J" * 5000, "this is no answer of Redis"),
            (b"", "it has closed the connection"),
            (None, "timed out"),
        ):
            with socket.create_server(("127.0.0.1", 0)) as listening:
                thread = Thread(target=self.answer, args=(listening, said))
                thread.start()
                address = RedisAddress("127.0.0.1", listening.getsockname()[1])
                error = self.assertRaises(Unavailable, probe, address, "k")
                thread.join()
            with self.subTest(said=said):
                self.assertIn(words, str(error))
                self.assertTrue(str(error).isprintable())

    def answer(self, listening: socket.socket, said: bytes | None) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            connection.recv(1)
            if said is not None:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
