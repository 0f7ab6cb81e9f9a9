"""Peers that no one here wrote, in content-length and eof: pygls, vscode-jsonrpc, socat.

Each needs a program: without it its tests are skipped, and fail where CI is set. vscode-jsonrpc is looked for where
Node.js looks (NODE_PATH), and its test is skipped wherever it is not.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, cast
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.tcp import Port
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from sockserve.client.connecting import connect, disconnect
from sockserve.connection.channel import Channel
from sockserve.server.sockets import SocketServer
from tests.support.authority import Authority
from tests.support.sockets import LOCAL, SocketCase, turn

VSCODE = any(Path(place, "vscode-jsonrpc").is_dir() for place in os.environ.get("NODE_PATH", "").split(os.pathsep))

PYGLS_CLIENT = """
import asyncio, os, sys
from pygls.client import JsonRPCClient
from pygls.protocol import JsonRPCProtocol, default_converter

async def main():
    client = JsonRPCClient(JsonRPCProtocol, default_converter)
    await client.start_tcp("127.0.0.1", int(sys.argv[1]))
    for text in ("Hello World", "\\u00e9\\u20ac", "x" * 100_000, ""):
        answer = await asyncio.wait_for(client.protocol.send_request_async("echo", {"text": text}), 20)
        assert answer.text == text, (answer, text)
    # Its stop() waits for the server to close.
    print("all came", flush=True)
    os._exit(0)

asyncio.run(main())
"""

PYGLS_SERVER = """
import logging, sys
from pygls.protocol import JsonRPCProtocol, default_converter
from pygls.server import JsonRPCServer

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
server = JsonRPCServer(JsonRPCProtocol, default_converter)

@server.feature("upper")
def upper(params):
    return params.text.upper()

server.start_tcp("127.0.0.1", 0)
"""

NODE_CLIENT = """
const net = require('net')
const rpc = require('vscode-jsonrpc/node')
const socket = net.connect(Number(process.argv[1]), '127.0.0.1', async () => {
  const connection = rpc.createMessageConnection(
    new rpc.StreamMessageReader(socket), new rpc.StreamMessageWriter(socket))
  connection.listen()
  for (const text of ['Hello World', '\\u00e9\\u20ac', 'x'.repeat(100000), '']) {
    const answer = await connection.sendRequest('echo', { text })
    if (answer.text !== text) throw new Error(text)
  }
  console.log('all came')
  connection.end()
  socket.end()
})
"""


def answer(message: bytes, _: Channel) -> bytes | None:
    """What `echo` of JSON-RPC is asked with, as its result."""
    request = json.loads(message)
    if "id" not in request:
        return None
    reply = {"jsonrpc": "2.0", "id": request["id"], "result": request["params"]}
    return json.dumps(reply, ensure_ascii=False).encode()


def need(there: object, what: str) -> None:
    if not there:
        missing = f"{what} is not installed, and this test needs it"
        if "CI" in os.environ:
            raise AssertionError(missing)
        raise SkipTest(missing)


class PyglsServer(ProcessProtocol):
    """port: where it listens, once it has said so. gone: fires when it has ended."""

    def __init__(self) -> None:
        self._out = b""
        self.port: Deferred[int] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self._out += data
        listens = re.search(rb"Serving on \('127.0.0.1', (\d+)\)", self._out)
        if listens and not self.port.called:
            self.port.callback(int(listens[1]))

    def processEnded(self, reason: Failure) -> None:
        self.gone.callback(None)


class PeerCase(SocketCase):
    timeout = 60

    async def run_client(self, program: str, *arguments: str, data: bytes = b"") -> bytes:
        """What it writes, once it has ended well."""
        output, errors, status = await getProcessOutputAndValue(
            program, arguments, env=os.environ, reactor=reactor, stdinBytes=data
        )
        self.assertEqual((status, errors.decode()), (0, ""))
        return bytes(output)

    def port_of(self, server: SocketServer) -> str:
        return str(cast("Port", server.ports[0]).getHost().port)


class ContentLengthTests(PeerCase):
    async def test_a_client_of_pygls(self) -> None:
        need(importlib.util.find_spec("pygls"), "pygls")
        server = self.serve(SocketServer("lsp", LOCAL, "content-length", answer))
        self.assertEqual(await self.run_client(sys.executable, "-c", PYGLS_CLIENT, self.port_of(server)), b"all came\n")

    async def test_a_server_of_pygls(self) -> None:
        need(importlib.util.find_spec("pygls"), "pygls")
        server = PyglsServer()
        process = reactor.spawnProcess(server, sys.executable, [sys.executable, "-c", PYGLS_SERVER], env=os.environ)
        self.addCleanup(lambda: server.gone)
        self.addCleanup(process.signalProcess, "KILL")
        channel = await connect(f"tcp:127.0.0.1:{await server.port}", "content-length")
        for number, text in enumerate(("hello", "\u00e9", "x" * 100_000), 1):
            request = {"jsonrpc": "2.0", "id": number, "method": "upper", "params": {"text": text}}
            await channel.write(json.dumps(request).encode())
            reply = json.loads(await channel.read(20))
            self.assertEqual((reply["id"], reply["result"]), (number, text.upper()))
        await disconnect(channel)

    async def test_a_client_of_vscode_jsonrpc(self) -> None:
        node = shutil.which("node")
        if node is None or not VSCODE:
            raise SkipTest("vscode-jsonrpc is not installed: npm install vscode-jsonrpc, and set NODE_PATH")
        server = self.serve(SocketServer("lsp", LOCAL, "content-length", answer))
        self.assertEqual(await self.run_client(node, "-e", NODE_CLIENT, self.port_of(server)), b"all came\n")


class EofTests(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        need(shutil.which("socat"), "socat")

    async def socat(self, address: str, data: bytes) -> bytes:
        return await self.run_client(str(shutil.which("socat")), "-t10", "-", address, data=data)

    async def test_a_whois_client(self) -> None:
        async def whois(query: bytes, _: Channel) -> bytes:
            return b"no match for " + query.rstrip() + b"\r\n" + b"%" * 200_000

        server = self.serve(SocketServer("whois", LOCAL, "eof", whois))
        said = await self.socat(f"TCP:127.0.0.1:{self.port_of(server)}", b"example.org\r\n")
        self.assertEqual(said, b"no match for example.org\r\n" + b"%" * 200_000)

    async def test_a_printer_on_9100_gets_a_job_and_no_job_of_a_port_scan(self) -> None:
        jobs: list[bytes] = []
        server = self.serve(SocketServer("printer", LOCAL, "eof", lambda job, _: jobs.append(job)))
        job = b"\x1b%-12345X@PJL\r\n" + bytes(range(256)) * 2000
        for sent in (b"", job):
            self.assertEqual(await self.socat(f"TCP:127.0.0.1:{self.port_of(server)}", sent), b"")
        self.assertEqual(jobs, [job])

    async def test_over_tls_with_and_without_a_proper_end(self) -> None:
        authority = Authority(self.mktemp())
        seen: list[bytes] = []

        def shout(message: bytes, _: Channel) -> bytes:
            seen.append(message)
            return message.upper()

        server = self.serve(SocketServer("eof", authority.listen(), "eof", shout))
        channel = await connect(authority.trusting(int(self.port_of(server))), "eof")
        await channel.write(b"hello" * 50_000)
        self.assertEqual(await channel.read(20), b"HELLO" * 50_000)
        await disconnect(channel)
        self.assertEqual(seen, [b"hello" * 50_000])

        # It ends its stream with the connection below, as somebody on the way could do.
        channel = await connect(authority.trusting(int(self.port_of(server))), "windev")
        await channel.write(b"cut")
        cast("Any", channel)._protocol.transport.transport.loseConnection()
        while not self.logged("the end of the stream was missing"):
            await turn()
        self.assertEqual(len(seen), 1)

    async def test_a_reset_is_no_end(self) -> None:
        jobs: list[bytes] = []
        server = self.serve(SocketServer("printer", LOCAL, "eof", lambda job, _: jobs.append(job)))
        client = await self.client(server)
        client.send(b"half a job")
        while not any(channel.info.bytes_received for channel in server.channels.values()):
            await turn()
        client.reset()
        while not self.logged("then the end of the stream was missing"):
            await turn()
        self.assertEqual(jobs, [])


class ForwardTests(SocketCase):
    async def bridged(self, outside: str, inside: str) -> tuple[SocketServer, list[bytes]]:
        """A bridge to a server that answers in upper case, and what that has received."""
        seen: list[bytes] = []

        def shout(message: bytes, _: Channel) -> bytes:
            seen.append(message)
            return message.upper()

        target = self.serve(SocketServer("target", LOCAL, inside, shout))
        port = cast("Port", target.ports[0]).getHost().port
        return self.serve(SocketServer("bridge", LOCAL, outside, f"forward:tcp:127.0.0.1:{port},{inside}")), seen

    async def test_a_message_up_to_the_end_is_one_message_for_the_other_side(self) -> None:
        for outside, inside in (("eof", "int32"), ("int32", "eof"), ("eof", "eof"), ("eof", "content-length")):
            bridge, seen = await self.bridged(outside, inside)
            channel = await connect(f"tcp:127.0.0.1:{cast('Port', bridge.ports[0]).getHost().port}", outside)
            message = b"hello" * 100_000
            await channel.write(message)
            self.assertEqual(await channel.read(20), message.upper(), (outside, inside))
            self.assertEqual(seen, [message])
            await disconnect(channel)

    async def test_a_second_message_cannot_cross_to_eof(self) -> None:
        bridge, seen = await self.bridged("int32", "eof")
        client = await self.client(bridge)
        client.send(b"\0\0\0\1a\0\0\0\1b")
        await client.lost
        self.assertEqual(len(self.logged("eof carries one message in each direction, and ours was sent; closing")), 1)
        self.assertLessEqual(seen, [b"a"])

    async def test_a_message_that_breaks_off_does_not_look_whole_over_eof(self) -> None:
        bridge, seen = await self.bridged("int32", "eof")
        client = await self.client(bridge)
        client.send((200_000).to_bytes(4, "big") + 100_000 * b"x")
        client.end()
        await client.lost
        self.assertEqual((bytes(client.received), seen), (b"", []))
