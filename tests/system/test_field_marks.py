"""Peers of the field on real sockets: hl7, hl7apy and pyserial, asyncio's streams, and the package cobs."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import hl7.client
import hl7.mllp
import serial
from cobs import cobs
from hl7apy.mllp import AbstractHandler, MLLPServer
from twisted.internet.threads import deferToThread

from sockserve.client.connecting import connect
from sockserve.connection.factory import MessageFactory
from tests.system.test_peers import EchoServer, PeerTestCase, UpperServer

MESSAGE = "MSH|^~\\&|A|B|C|D|20260101||QBP^Q11^QBP_Q11|1|P|2.5\rPID|1||x\r"
TIMEOUT = 20


class Answer(AbstractHandler):  # type: ignore[misc]
    """Of hl7apy."""

    def reply(self) -> str:
        message: str = self.incoming_message
        return f"\x0b{message.upper()}\x1c\r"


class FieldTests(PeerTestCase):
    async def serve(self, framing: str, protocol: Any = EchoServer) -> int:  # noqa: ANN401 - a class of either kind
        return await self.listen_tcp(MessageFactory(framing, self.kept(protocol)))

    async def test_hl7_client(self) -> None:
        port = await self.serve("mllp")

        def talk() -> list[bytes]:
            with hl7.client.MLLPClient("127.0.0.1", port) as client:
                client.socket.settimeout(TIMEOUT)
                # Some senders put a line end after the frame.
                return [client.send_message(MESSAGE), client.send(b"\n\x0bsecond\x1c\r\n"), client.send_message("x")]

        frames = await deferToThread(talk)
        self.assertEqual(frames[0], b"\x0b" + MESSAGE.encode() + b"\x1c\r")
        self.assertEqual([frame.strip(b"\r\n") for frame in frames[1:]], [b"\x0bsecond\x1c", b"\x0bx\x1c"])

    async def test_hl7_on_asyncio(self) -> None:
        port = await self.serve("mllp")

        async def talk() -> list[str]:
            reader, writer = await hl7.mllp.open_hl7_connection("127.0.0.1", port)
            for _ in range(3):
                writer.writemessage(hl7.parse(MESSAGE))
            await writer.drain()
            answers = [str(await reader.readmessage()) for _ in range(3)]
            writer.close()
            await writer.wait_closed()
            return answers

        answers = await deferToThread(asyncio.run, asyncio.wait_for(talk(), TIMEOUT))
        self.assertEqual([answer.strip() for answer in answers], 3 * [MESSAGE.strip()])

    async def test_hl7apy_server(self) -> None:
        server = MLLPServer("127.0.0.1", 0, {"QBP^Q11^QBP_Q11": (Answer,)}, timeout=TIMEOUT)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            channel = await connect(f"tcp:127.0.0.1:{server.server_address[1]}", "mllp")
            await channel.write(MESSAGE.encode())
            self.assertEqual(await channel.read(timeout=TIMEOUT), MESSAGE.upper().encode())
            channel.close()
        finally:
            await deferToThread(server.shutdown)
            server.server_close()
            thread.join()

    async def test_pyserial(self) -> None:
        for framing, frames in (
            ("dle", (b"\x10\x02weight\x10\x10\x03\x10\x03", b"\x10\x02\x10\x03")),
            ("slip", (b"1.25 kg\xdb\xdc\xdb\xdd\xc0", b"x\xc0")),
            ("envelope:\\x02:\\x03:lrc", (b"\x02123\x033", b"\x02\x03\x03")),
            ("envelope:\\x02:\\x03:astm", (b"\x024L|1|N\r\x0307\r\n", b"\x02a\x0364\r\n")),
            ("lines", (b"1.25 kg\n", b"\r\n")),
        ):
            port = await self.serve(framing)

            def talk(port: int = port, frames: tuple[bytes, ...] = frames) -> bytes:
                with serial.serial_for_url(f"socket://127.0.0.1:{port}", timeout=TIMEOUT) as line:
                    answers = b""
                    for frame in frames:
                        line.write(frame[:3])
                        line.write(frame[3:])
                        answers += line.read(len(frame))
                    return answers

            self.assertEqual(await deferToThread(talk), b"".join(frames), framing)

    async def test_asyncio_reads_lines(self) -> None:
        for framing, ending in (("lines", b"\r\n"), ("lines:lf", b"\n")):
            port = await self.serve(framing, UpperServer)

            async def talk(port: int = port) -> list[bytes]:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"one\ntwo\r\n\nthree\r\n")
                answers = [await reader.readline() for _ in range(4)]
                writer.close()
                await writer.wait_closed()
                return answers

            answers = await deferToThread(asyncio.run, asyncio.wait_for(talk(), TIMEOUT))
            self.assertEqual(answers, [line + ending for line in (b"ONE", b"TWO", b"", b"THREE")])

    async def test_cobs(self) -> None:
        port = await self.serve("cobs", UpperServer)
        messages = [b"a\0b", b"", b"x" * 254, b"y" * 600 + b"\0"]

        def talk() -> list[bytes]:
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as peer, peer.makefile("rb") as stream:
                # Many senders begin with a zero byte.
                peer.sendall(b"\0" + b"".join(cobs.encode(message) + b"\0" for message in messages))
                peer.shutdown(socket.SHUT_WR)
                return [cobs.decode(block) for block in stream.read().split(b"\0")[:-1]]

        self.assertEqual(await deferToThread(talk), [message.upper() for message in messages])
