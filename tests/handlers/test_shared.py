"""A relay that processes share, with a real Redis: each SocketServer here stands for a process of its own."""

from __future__ import annotations

import os
import re
from typing import Any

import txredisapi
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from sockserve.fields import SettingError
from sockserve.framing import parse
from sockserve.handlers.shared import SharedRelay
from sockserve.limits.memory import MemoryBudget
from sockserve.redis import connection
from sockserve.redis.connection import RedisConnection
from sockserve.server.sockets import Listen, SocketServer
from tests.support.authority import Authority
from tests.support.redis import RedisServer, free_port
from tests.support.sockets import LOCAL, Client, SocketCase, turn

KEY = "sockserve:relay:room"


def frame(text: str) -> bytes:
    return f"{len(text)}\r\n{text}".encode()


def messages(received: bytes | bytearray) -> list[str]:
    """Those in windev frames."""
    found = []
    rest = bytes(received).decode()
    while rest:
        length, _, rest = rest.partition("\r\n")
        found.append(rest[: int(length)])
        rest = rest[int(length) :]
    return found


class SharedCase(SocketCase):
    timeout = 20

    def room(self, redis: RedisServer, url: str = "", **settings: Any) -> SocketServer:  # noqa: ANN401
        """A process, started."""
        return self.serve(SocketServer("room", LOCAL, "windev", "relay", relay=url or redis.url, **settings))

    def relay(self, server: SocketServer) -> SharedRelay:
        assert server.relay is not None
        return server.relay

    async def clients(self, server: SocketServer, count: int, **more: Any) -> list[Client]:  # noqa: ANN401
        there = len(server.channels)
        clients = [await self.client(server, **more) for _ in range(count)]
        while len(server.channels) < there + count:
            await turn()
        return clients

    async def until(self, condition: Any) -> None:  # noqa: ANN401
        """Wait until the function returns something true."""
        while not condition():
            await turn()

    async def lost(self, *servers: SocketServer) -> None:
        """They know that Redis is away."""
        await self.until(lambda: not any(self.relay(server).connected for server in servers))

    async def back(self, *servers: SocketServer) -> None:
        await self.until(lambda: all(self.relay(server).connected for server in servers))

    async def came_back(self, server: SocketServer) -> None:
        """It has read all that it has added: others may have read it before."""
        await self.until(lambda: not self.relay(server).waiting)


class SharedTests(SharedCase):
    async def test_everyone_but_the_sender_gets_a_message(self) -> None:
        redis = RedisServer(self)
        one, two = self.room(redis), self.room(redis)
        a, b = await self.clients(one, 2)
        c, d = await self.clients(two, 2)
        a.send(frame("hello") + frame(""))
        for each in (b, c, d):
            self.assertEqual(messages(await each.until(11)), ["hello", ""])
        c.send(frame("you"))
        self.assertEqual(messages(await a.until(6)), ["you"])
        self.assertEqual(messages(await b.until(17)), ["hello", "", "you"])
        self.assertEqual(messages(c.received), ["hello", ""])
        self.assertEqual(self.logged("is lost") + self.logged("is back"), [])

    async def test_one_order_for_all_clients_of_all_processes(self) -> None:
        redis = RedisServer(self)
        listen = [Listen(LOCAL, "windev"), Listen(LOCAL, "int32")]
        servers = [self.serve(SocketServer("room", listen, handler="relay", relay=redis.url)) for _ in range(3)]
        speakers = [(await self.clients(server, 1))[0] for server in servers]
        listeners = [(await self.clients(server, 1, port=1))[0] for server in servers]
        for number in range(400):
            for name, speaker in zip("abc", speakers, strict=True):
                speaker.send(frame(f"{name}{number:03}"))
            if number % 20 == 0:
                await turn()
        heard = await gatherResults([listener.until(1200 * 8) for listener in listeners])
        self.assertEqual(len(set(heard)), 1)
        order = re.findall(rb"[abc][0-9]{3}", heard[0])
        texts = [each.decode() for each in order]
        for name, speaker in zip("abc", speakers, strict=True):
            self.assertEqual([each for each in texts if each[0] == name], [f"{name}{n:03}" for n in range(400)])
            others = messages(await speaker.until(800 * 7))
            self.assertEqual(others, [each for each in texts if each[0] != name])

    async def test_what_other_programs_add_reaches_all(self) -> None:
        redis = RedisServer(self)
        server = self.room(redis)
        (client,) = await self.clients(server, 1)
        redis.ask(("XADD", KEY, "*", "from", "backend", "text", b"\xff\x00"))
        self.assertEqual(await client.until(12), b"7\r\nbackend2\r\n\xff\x00")

    async def test_what_was_there_before_is_not_for_new_processes(self) -> None:
        redis = RedisServer(self)
        redis.ask(("XADD", KEY, "*", "from", "before"))
        server = self.room(redis)
        (client,) = await self.clients(server, 1)
        redis.ask(("XADD", KEY, "*", "from", "after"))
        self.assertEqual(messages(await client.until(8)), ["after"])

    async def test_sockets_share_a_stream_of_their_own(self) -> None:
        redis = RedisServer(self)
        url = f"{redis.url}?key=both&db=2&maxlen=7"
        (one,) = await self.clients(self.room(redis, url), 1)
        (two,) = await self.clients(self.serve(SocketServer("hall", LOCAL, "windev", "relay", relay=url)), 1)
        (none,) = await self.clients(self.room(redis), 1)
        one.send(frame("hello"))
        self.assertEqual(messages(await two.until(8)), ["hello"])
        self.assertEqual(redis.ask(("SELECT", 2), ("XLEN", "both")), 1)
        self.assertEqual(messages(none.received), [])

    async def test_large_messages(self) -> None:
        redis = RedisServer(self, keeps=False)
        framing = parse("int32", max_length=8 << 20)
        servers = [self.serve(SocketServer("room", LOCAL, framing, "relay", relay=redis.url)) for _ in range(2)]
        (sender,), (listener,) = [await self.clients(server, 1) for server in servers]
        wire = b"".join(framing.encode(os.urandom(size)) for size in (4 << 20, 5, 3 << 20, 1 << 20))
        sender.send(wire)
        self.assertEqual(await listener.until(len(wire)), wire)

    async def test_without_hiredis(self) -> None:
        self.patch(txredisapi, "RedisProtocol", txredisapi.BaseRedisProtocol)
        redis = RedisServer(self)
        (sender,), (listener,) = [await self.clients(self.room(redis), 1) for _ in range(2)]
        wire = b"".join(frame("x" * (number * 37 % 500)) for number in range(300)) + frame("y" * 200_000)
        sender.send(wire)
        self.assertEqual(await listener.until(len(wire)), wire)

    async def test_over_tcp_with_a_password_and_over_tls(self) -> None:
        authority = Authority(self.mktemp())
        plain, secure = free_port(), free_port()
        redis = RedisServer(
            self,
            *("--port", str(plain), "--tls-port", str(secure), "--tls-auth-clients", "no", "--requirepass", "pw"),
            *("--tls-cert-file", str(authority.server), "--tls-key-file", str(authority.server)),
        )
        (one,) = await self.clients(self.room(redis, f"redis://:pw@127.0.0.1:{plain}/0"), 1)
        (two,) = await self.clients(self.room(redis, f"rediss://:pw@localhost:{secure}?roots={authority.ca}"), 1)
        one.send(frame("hello"))
        self.assertEqual(messages(await two.until(8)), ["hello"])
        two.send(frame("you"))
        self.assertEqual(messages(await one.until(6)), ["you"])

    async def test_a_connection_ends_when_all_that_was_said_is_in_the_stream(self) -> None:
        redis = RedisServer(self)
        server = self.room(redis)
        (sender,) = await self.clients(server, 1)
        sender.send(b"".join(frame(f"{number:05}") for number in range(2000)))
        sender.end()
        await sender.ended
        self.assertEqual(redis.ask(("XLEN", KEY)), 2000)

    async def test_it_starts_again_after_a_stop(self) -> None:
        redis = RedisServer(self)
        server = self.room(redis)
        await server.stopService()
        redis.ask(("XADD", KEY, "*", "from", "between"))
        server.startService()
        (one, two) = await self.clients(server, 2)
        one.send(frame("hello"))
        self.assertEqual(messages(await two.until(8)), ["hello"])

    async def test_without_redis_nothing_starts(self) -> None:
        server = SocketServer("room", LOCAL, "windev", "relay", relay=f"redis://us:secret@127.0.0.1:{free_port()}")
        error = self.assertRaises(SettingError, server.startService)
        self.assertRegex(str(error), r"^relay: redis://us:\*\*\*@127.0.0.1:[0-9]+/0: \[Errno 111\] Connection refused$")
        self.assertEqual(server.ports, [])


class OutageTests(SharedCase):
    async def test_what_is_said_meanwhile_comes_once_and_in_order(self) -> None:
        redis = RedisServer(self)
        servers = [self.room(redis) for _ in range(2)]
        (a,), (b,) = [await self.clients(server, 1) for server in servers]
        listeners = [(await self.clients(server, 1))[0] for server in servers]
        names = [f"{name}{number:03}" for number in range(300) for name in "ab"]

        def say(numbers: range) -> None:
            for number in numbers:
                a.send(frame(f"a{number:03}"))
                b.send(frame(f"b{number:03}"))

        say(range(100))
        await listeners[0].until(10)
        redis.stop()
        await self.lost(*servers)
        say(range(100, 200))
        await self.until(lambda: all(self.relay(server).waiting >= 100 for server in servers))
        redis.start()
        say(range(200, 300))
        heard = await gatherResults([listener.until(600 * 7) for listener in listeners])
        await self.back(*servers)
        self.assertEqual(len(set(heard)), 1)
        self.assertEqual(sorted(messages(heard[0])), sorted(names))
        for name in "ab":
            own = [each for each in messages(heard[0]) if each[0] == name]
            self.assertEqual(own, sorted(own))
        for server in servers:
            await self.until(lambda server=server: not self.relay(server).waiting)
            self.assertEqual((self.relay(server).missed, self.relay(server).lost), (0, 0))
        # Nothing more comes.
        a.send(frame("last"))
        self.assertEqual(messages(await listeners[1].until(600 * 7 + 7))[-1], "last")
        lost, back = self.logged("is lost: "), self.logged("is back after ")
        self.assertEqual((len(lost), len(back)), (2, 2), self.lines)
        self.assertRegex(lost[0], r"^room: unix://\S+ is lost: .+; messages wait until it is back$")
        self.assertRegex(back[0], r"^room: unix://\S+ is back after [0-9.]+ seconds; [0-9]+ messages have waited$")

    async def test_connections_that_break_at_any_moment(self) -> None:
        redis = RedisServer(self)
        servers = [self.room(redis) for _ in range(2)]
        speakers = [(await self.clients(server, 1))[0] for server in servers]
        listeners = [(await self.clients(server, 1))[0] for server in servers]
        count = 0
        for _ in range(6):
            await self.back(*servers)
            for _ in range(40):
                for name, speaker in zip("ab", speakers, strict=True):
                    speaker.send(b"".join(frame(f"{name}{count + each:05}") for each in range(10)))
                count += 10
                await turn()
            redis.ask(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
            await self.lost(*servers)
        heard = await gatherResults([listener.until(2 * count * 9) for listener in listeners])
        self.assertEqual(len(set(heard)), 1)
        for name in "ab":
            own = [each for each in messages(heard[0]) if each[0] == name]
            self.assertEqual(own, [f"{name}{number:05}" for number in range(count)])

    async def test_a_redis_that_does_not_answer_has_not_forgotten(self) -> None:
        self.patch(connection, "TIMEOUT", 0.2)
        redis = RedisServer(self)
        self.addCleanup(redis.thaw)
        servers = [self.room(redis) for _ in range(2)]
        (a,), (b,) = [await self.clients(server, 1) for server in servers]
        a.send(frame("before"))
        await b.until(9)
        redis.freeze()
        for number in range(10):
            a.send(frame(f"{number}"))
        await self.lost(servers[0])
        redis.thaw()
        a.send(frame("after"))
        self.assertEqual(messages(await b.until(9 + 10 * 4 + 8)), ["before", *"0123456789", "after"])
        # What it was sent over the old connection was added, whether before or after the new one read it.
        await self.came_back(servers[0])
        self.assertEqual(len(self.logged("is lost: it has not answered for ")), len(self.logged("is lost: ")))
        self.assertEqual(self.relay(servers[0]).missed, 0)

    async def test_a_redis_that_takes_nothing_is_lost_until_it_does(self) -> None:
        redis = RedisServer(self)
        servers = [self.room(redis) for _ in range(2)]
        (a,), (b,) = [await self.clients(server, 1) for server in servers]
        redis.ask(("CONFIG", "SET", "maxmemory", 1))
        a.send(frame("hello"))
        attempts: list[object] = []
        make = RedisConnection.open.__func__  # type: ignore[attr-defined]

        async def counted(cls: Any, *args: Any) -> Any:  # noqa: ANN401
            attempts.append(args)
            return await make(cls, *args)

        self.patch(RedisConnection, "open", classmethod(counted))
        await self.until(lambda: len(attempts) > 5)
        redis.ask(("CONFIG", "SET", "maxmemory", 0))
        self.assertEqual(messages(await b.until(8)), ["hello"])
        await self.back(*servers)
        (line,) = self.logged("is lost: ")
        self.assertIn("is lost: OOM command not allowed", line)
        self.assertEqual(len(self.logged("is back after ")), 1)

    async def test_a_redis_that_comes_back_empty_is_noticed(self) -> None:
        redis = RedisServer(self, keeps=False)
        servers = [self.room(redis) for _ in range(2)]
        (a,), (b,) = [await self.clients(server, 1) for server in servers]
        for number in range(5):
            a.send(frame(f"{number}"))
        await b.until(5 * 4)
        await self.came_back(servers[0])
        redis.stop()
        await self.lost(*servers)
        a.send(frame("meanwhile"))
        redis.start()
        await b.until(5 * 4 + 12)
        b.send(frame("after"))
        self.assertEqual(messages(await a.until(8)), ["after"])
        self.assertEqual(messages(b.received), [*"01234", "meanwhile"])
        self.assertEqual(len(self.logged(f"has lost entries of {KEY} that it had; reading what it has now")), 2)

    async def test_a_stream_that_is_deleted_while_it_is_read(self) -> None:
        redis = RedisServer(self)
        servers = [self.room(redis) for _ in range(2)]
        (a,), (b,) = [await self.clients(server, 1) for server in servers]
        a.send(frame("one") + frame("two"))
        await b.until(12)
        await self.came_back(servers[0])
        redis.ask(("DEL", KEY))
        a.send(frame("new"))
        self.assertEqual(messages(await b.until(18)), ["one", "two", "new"])
        b.send(frame("old"))
        self.assertEqual(messages(await a.until(6)), ["old"])
        self.assertEqual(len(self.logged("has lost entries of ")), 2)
        self.assertEqual(self.logged("is lost"), [])

    async def test_what_was_removed_meanwhile_is_counted(self) -> None:
        redis = RedisServer(self)
        servers = [self.room(redis) for _ in range(2)]
        (a,), (b,) = [await self.clients(server, 1) for server in servers]
        redis.ask(("XADD", KEY, "*", "from", "before"))
        await gatherResults([a.until(9), b.until(9)])
        # They cannot connect, and others can.
        hidden = redis.path.rename(redis.folder / "hidden")
        redis.path = hidden
        redis.ask(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        await self.lost(*servers)
        for number in range(10):
            redis.ask(("XADD", KEY, "*", "from", f"{number}"))
        redis.ask(("XTRIM", KEY, "MAXLEN", 3))
        redis.path = hidden.rename(redis.folder / "socket")
        for client in (a, b):
            self.assertEqual(messages(await client.until(9 + 3 * 4)), ["before", "7", "8", "9"])
        self.assertEqual([self.relay(server).missed for server in servers], [7, 7])
        line = f"room: 7 messages were removed from {KEY} before they were read, and not passed on (maxlen)"
        self.assertEqual(self.logged("were removed"), [line, line])

    async def test_own_messages_that_were_removed_before_they_came_do_not_wait_for_ever(self) -> None:
        redis = RedisServer(self, "--stream-node-max-entries", "1")
        server = self.room(redis, f"{redis.url}?maxlen=1")
        (sender,) = await self.clients(server, 1)
        sender.send(b"".join(frame(f"{number}") for number in range(500)))
        sender.end()
        await sender.ended
        self.assertEqual(self.relay(server).waiting, 0)
        self.assertGreater(self.relay(server).missed, 0)

    async def test_clients_are_held_while_much_of_them_waits(self) -> None:
        redis = RedisServer(self, keeps=False)
        server = self.room(redis, max_queued="1M")
        (sender, other) = await self.clients(server, 2)
        redis.stop()
        await self.lost(server)
        wire = frame("x" * 10_000) * 2000
        sender.send(wire)
        await self.until(lambda: self.relay(server).waiting >= 7)
        for _ in range(50):
            await turn()
        # As much as one client may leave waiting, and one read more.
        self.assertLess(self.relay(server).waiting, 20)
        redis.start()
        await other.until(len(wire))
        self.assertEqual(other.received, wire)

    async def test_all_are_held_while_there_is_no_room(self) -> None:
        redis = RedisServer(self, keeps=False)
        server = self.room(redis, max_queued="200k")
        (listener,) = await self.clients(server, 1)
        redis.stop()
        await self.lost(server)
        for number in range(40):
            (client,) = await self.clients(server, 1)
            client.send(frame("x" * 30_000))
            if number < 7:
                await self.until(lambda number=number: self.relay(server).waiting == number + 1)
        for _ in range(50):
            await turn()
        self.assertEqual(self.relay(server).waiting, 7)
        redis.start()
        await listener.until(40 * 30_007)
        self.assertEqual(self.logged("dropped"), [])

    async def test_what_a_client_has_said_outlives_it(self) -> None:
        redis = RedisServer(self)
        server = self.room(redis)
        (sender, other) = await self.clients(server, 2)
        redis.stop()
        await self.lost(server)
        sender.send(frame("farewell"))
        await self.until(lambda: self.relay(server).waiting)
        sender.reset()
        await self.until(lambda: len(server.channels) == 1)
        self.assertGreater(self.relay(server).held, 0)
        redis.start()
        self.assertEqual(messages(await other.until(11)), ["farewell"])
        await self.until(lambda: not self.relay(server).waiting)
        self.assertEqual(self.relay(server).held, 0)

    async def test_a_stop_waits_for_what_waits(self) -> None:
        redis = RedisServer(self)
        server = self.room(redis)
        (sender,) = await self.clients(server, 1)
        redis.stop()
        await self.lost(server)
        sender.send(frame("farewell"))
        await self.until(lambda: self.relay(server).waiting)
        stopped = server.stopService()
        redis.start()
        await stopped
        self.assertTrue(server.clean)
        self.assertEqual(redis.ask(("XLEN", KEY)), 1)

    async def test_what_is_lost_at_a_stop_is_told(self) -> None:
        redis = RedisServer(self)
        server = self.room(redis, drain_timeout="100ms")
        (gone, sender) = await self.clients(server, 2)
        redis.stop()
        await self.lost(server)
        for client in (gone, sender):
            client.send(frame("farewell") * 2)
        await self.until(lambda: self.relay(server).waiting == 4)
        gone.reset()
        await self.until(lambda: len(server.channels) == 1)
        await server.stopService()
        self.assertFalse(server.clean)
        self.assertEqual((self.relay(server).lost, self.relay(server).waiting), (4, 0))
        (line,) = self.logged("are lost")
        self.assertRegex(line, r"^room: 4 messages are lost, unix://\S+ has not taken them \(drain_timeout\)$")
        self.assertEqual(len(self.logged("1 connections aborted, not finished within 0.1 seconds")), 1)

    async def test_memory_budget_counts_what_waits(self) -> None:
        redis = RedisServer(self, keeps=False)
        memory = MemoryBudget(256 * 1024, reactor)
        server = self.room(redis, memory=memory, drain_timeout="50ms")
        redis.stop()
        await self.lost(server)
        count = 0
        while not self.logged("are lost"):
            (client,) = await self.clients(server, 1)
            client.send(frame("x" * 30_000))
            count += 1
            await self.until(lambda count=count: self.relay(server).waiting >= count or self.logged("are lost"))
            client.reset()
            await self.until(lambda: not server.channels)
        (line,) = self.logged("are lost")
        self.assertRegex(line, r"^room: [0-9]+ messages are lost, unix://\S+ has not taken them \(memory_budget\)$")
        self.assertLess(count, 15)
        self.assertGreater(self.relay(server).lost, 0)
