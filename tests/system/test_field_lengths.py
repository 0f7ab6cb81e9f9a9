"""Peers of the field whose frames say their length: pymodbus, logger and rsyslogd, on real sockets.

logger is part of util-linux (Debian: bsdutils). Where it or rsyslogd is not installed, its tests are skipped, and fail
where CI is set.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from sockserve.connection.factory import MessageFactory
from sockserve.connection.protocol import MessageProtocol
from sockserve.framing.length import Mbap
from tests.support.programs import installed
from tests.system.test_peers import PeerTestCase, Watched

if TYPE_CHECKING:
    from twisted.python.failure import Failure


class Registers(Watched, MessageProtocol):
    """A Modbus device: reads of holding registers are answered with their addresses, anything else with an error."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[bytes] = []

    def messageReceived(self, message: bytes) -> None:
        self.requests.append(message)
        transaction, unit, function = message[:2], message[6], message[7]
        if function == 3:
            first, count = struct.unpack(">HH", message[8:])
            answer = bytes([3, 2 * count]) + struct.pack(f">{count}H", *range(first, first + count))
        else:
            answer = bytes([function | 0x80, 1])
        self.sendMessage(transaction + struct.pack(">HHB", 0, 1 + len(answer), unit) + answer)


class Collector(Watched, MessageProtocol):
    """Collects messages; `awaited` fires when there are as many as it is to wait for."""

    def __init__(self, wanted: int, awaited: Deferred[list[bytes]]) -> None:
        super().__init__()
        self.messages: list[bytes] = []
        self._wanted = wanted
        self._awaited = awaited

    def messageReceived(self, message: bytes) -> None:
        self.messages.append(message)
        if len(self.messages) == self._wanted:
            self._awaited.callback(self.messages)


class ModbusTests(PeerTestCase):
    async def test_pymodbus_reads_registers_of_a_handler(self) -> None:
        try:
            from pymodbus.client import ModbusTcpClient
        except ImportError:
            if "CI" in os.environ:
                raise
            raise SkipTest("pymodbus is not installed, and this test needs it") from None
        port = await self.listen_tcp(MessageFactory(Mbap(max_length=260), self.kept(Registers)))

        def ask() -> tuple[list[int], list[int], int]:
            with ModbusTcpClient("127.0.0.1", port=port) as client:
                few = client.read_holding_registers(107, count=3, device_id=17)
                many = client.read_holding_registers(0, count=125)
                refused = client.read_coils(0, count=1)
            return few.registers, many.registers, refused.exception_code

        few, many, refused = await deferToThread(ask)
        self.assertEqual((few, many, refused), ([107, 108, 109], [*range(125)], 1))
        (device,) = self.connections
        assert isinstance(device, Registers)
        self.assertEqual(device.requests[0][2:], bytes.fromhex("0000 0006 11 03 006b 0003"))
        await device.gone


class SyslogTests(PeerTestCase):
    async def collect(self, framing: str, wanted: int) -> tuple[int, Deferred[list[bytes]]]:
        awaited: Deferred[list[bytes]] = Deferred()
        factory = MessageFactory(framing, self.kept(lambda: Collector(wanted, awaited)))
        return await self.listen_tcp(factory), awaited

    async def log(self, text: str, *options: str) -> None:
        _, errors, status = await getProcessOutputAndValue(
            installed("logger", "bsdutils"), (*options, "-p", "user.notice", "-t", "till", text), os.environ
        )
        self.assertEqual((status, errors), (0, b""))

    async def test_logger_with_and_without_octet_counting(self) -> None:
        for framing, options in (("octets", ["--octet-count"]), ("syslog", ["--octet-count"]), ("syslog", [])):
            port, awaited = await self.collect(framing, 1)
            await self.log("drawer open", "-T", "-n", "127.0.0.1", "-P", str(port), *options)
            (message,) = await awaited
            self.assertTrue(message.startswith(b"<13>"), message)
            self.assertTrue(message.endswith(b" drawer open"), message)

    async def test_rsyslogd_forwards_with_and_without_octet_counting(self) -> None:
        program = installed("rsyslogd", "rsyslog")
        counted, counted_came = await self.collect("syslog", 2)
        lines, lines_came = await self.collect("syslog", 2)
        strict, strict_came = await self.collect("octets", 2)
        folder = Path(tempfile.mkdtemp(prefix="sockserve-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "till.log").write_text("drawer open\n7 drawers\n")
        forward = 'action(type="omfwd" target="127.0.0.1" port="{}" protocol="tcp" TCP_Framing="{}")\n'
        (folder / "rsyslog.conf").write_text(
            f'global(workDirectory="{folder}")\n'
            'module(load="imfile")\n'
            f'input(type="imfile" File="{folder}/till.log" Tag="till")\n'
            + forward.format(counted, "octet-counted")
            + forward.format(strict, "octet-counted")
            + forward.format(lines, "traditional")
        )
        daemon = Daemon()
        arguments = [program, "-n", "-f", f"{folder}/rsyslog.conf", "-i", f"{folder}/pid"]
        self.reactor.spawnProcess(daemon, program, arguments, os.environ)
        self.addCleanup(daemon.kill)
        for messages in (await counted_came, await strict_came, await lines_came):
            self.assertEqual([message[:5] for message in messages], [b"<133>"] * 2)
            self.assertTrue(messages[0].endswith(b" drawer open"), messages)
            self.assertTrue(messages[1].endswith(b" 7 drawers"), messages)


class Daemon(ProcessProtocol):
    """A process that runs until it is killed."""

    transport: Any

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def processEnded(self, reason: Failure) -> None:
        self.gone.callback(None)

    def kill(self) -> Deferred[None]:
        if not self.gone.called:
            self.transport.signalProcess("KILL")
        return self.gone
