"""The URL of a stream: what is accepted, what is refused, and that no line shows its password."""

from __future__ import annotations

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from sockserve.redis.address import ACCEPTED, RedisAddress, parse_address
from sockserve.tls.client import TLSClientEndpoint


class AddressTests(SynchronousTestCase):
    def test_what_is_accepted(self) -> None:
        for url, expected in (
            ("redis://127.0.0.1:6379/0", RedisAddress("127.0.0.1")),
            ("redis://example.org", RedisAddress("example.org")),
            ("redis://example.org/", RedisAddress("example.org")),
            ("REDIS://example.org:1/15", RedisAddress("example.org", 1, database=15)),
            ("redis://[::1]:7000/3", RedisAddress("::1", 7000, database=3)),
            ("redis://:s%2Fc%40t@h", RedisAddress("h", password="s/c@t")),
            ("redis://us%20er:pw@h", RedisAddress("h", username="us er", password="pw")),
            ("redis://h?key=a%20b%3A&maxlen=5", RedisAddress("h", key="a b:", maxlen=5)),
            ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
            ("unix://:pw@/run/a%20b?db=2&key=k", RedisAddress(path="/run/a b", database=2, password="pw", key="k")),
        ):
            with self.subTest(url=url):
                self.assertEqual(parse_address(url), expected)

    def test_it_is_shown_without_the_password(self) -> None:
        for url, shown in (
            ("redis://h", "redis://h:6379/0"),
            ("redis://us%20er:secret@[::1]:1/3?maxlen=5&key=a%20b", "redis://us%20er:***@[::1]:1/3?key=a%20b&maxlen=5"),
            ("unix://:secret@/run/r?db=2", "unix://:***@/run/r?db=2"),
            ("rediss://:secret@h", "rediss://:***@h:6379/0"),
        ):
            address = parse_address(url)
            self.assertEqual((str(address), repr(address)), (shown, shown))

    def test_what_is_refused_is_one_line_that_shows_no_part_of_it(self) -> None:
        for url, words in (
            ("", "it does not begin with redis://, rediss:// or unix://"),
            ("us:secret@h:6379", "it does not begin with redis://"),
            ("http://us:secret@h", "it does not begin with redis://"),
            ("redis://us:secret@h:99999", "the port is a number from 1 to 65535"),
            ("redis://us:secret@h:0", "the port is a number from 1 to 65535"),
            ("redis://us:sec/ret@h", "the port is a number from 1 to 65535"),
            ("redis://us:secret#@h", "a # in it is written %23"),
            ("redis://us:secret@/0", "it has no host"),
            ("redis://us:secret@[::1/0", "this is no URL"),
            ("redis://secret@h", "a user's name needs a password after it"),
            ("redis://us:secret@h/secret", "the database is a whole number, 0 or more"),
            ("redis://us:secret@h/-1", "the database is a whole number, 0 or more"),
            ("redis://us:secret@h?secret", "what follows the ? is NAME=VALUE"),
            ("redis://us:secret@h?secret=1", "only key, maxlen may follow the ? here"),
            ("redis://us:secret@h?db=1", "only key, maxlen may follow the ? here"),
            ("redis://us:secret@h?roots=x.pem", "only key, maxlen may follow the ? here"),
            ("redis://us:secret@h?maxlen=0", "maxlen is a whole number, 1 or more"),
            ("redis://us:secret@h?maxlen=secret", "maxlen is a whole number, 1 or more"),
            ("redis://us:secret@h?key=", "key is the name of a stream"),
            ("redis://us:secret@h?key=a%0Asecret", "key is the name of a stream"),
            ("unix://us:secret@run/redis.sock", "the path of a unix socket begins with a slash"),
            ("unix://", "the path of a unix socket begins with a slash"),
            ("unix:///run/r?db=x", "db is a whole number, 0 or more"),
            ("rediss://us:secret@h?roots=none.pem", "none.pem: cannot be read: No such file"),
        ):
            with self.subTest(url=url):
                error = self.assertRaises(ValueError, parse_address, url)
                self.assertEqual(f"{words}", str(error)[: len(words)])
                self.assertTrue(str(error).endswith(f"; accepted: {ACCEPTED}"))
                self.assertEqual(len(str(error).splitlines()), 1)
                self.assertNotIn("secret", str(error))

    def test_a_connection_begins_with_the_password_and_the_database(self) -> None:
        for url, greeting in (
            ("redis://h", []),
            ("redis://h/2", [("SELECT", "2")]),
            ("redis://:pw@h", [("AUTH", "pw")]),
            ("redis://us:pw@h/2", [("AUTH", "us", "pw"), ("SELECT", "2")]),
        ):
            self.assertEqual(parse_address(url).greeting, greeting)

    def test_what_connects(self) -> None:
        for url, kind in (
            ("redis://h", HostnameEndpoint),
            ("rediss://h", TLSClientEndpoint),
            ("unix:///run/r", UNIXClientEndpoint),
        ):
            self.assertIsInstance(parse_address(url).endpoint(MemoryReactorClock(), 5), kind)
