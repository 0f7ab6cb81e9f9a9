"""Behind a real nginx, with the configuration that docs/operating.md shows.

nginx and its stream module must be installed (`apt-get install nginx libnginx-mod-stream`): without them these tests
are skipped, and fail where CI is set.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from unittest import SkipTest

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory

from sockserve.server.sockets import SocketServer
from tests.support.sockets import LOCAL, Client, SocketCase

DOCUMENT = Path(__file__).parents[2] / "docs/operating.md"
FORM = """{module}
daemon off;
pid {folder}/pid;
error_log {folder}/log;
events {{ worker_connections 100; }}
{stream}
"""
HALF_CLOSE = "proxy_half_close on;"


def documented() -> str:
    """The part of an nginx.conf that the documents show."""
    (shown,) = re.findall(r"^```nginx\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert isinstance(shown, str)
    return shown


class NginxTests(SocketCase):
    def module(self, nginx: str) -> str | None:
        """The line that loads the stream module, if that is not built in; None: there is none."""
        built = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr
        folder = re.search(r"--modules-path=(\S+)", built)
        library = Path(folder[1] if folder else "", "ngx_stream_module.so")
        if library.is_file():
            return f"load_module {library};"
        return "" if re.search(r"--with-stream(\s|$)", built) else None

    def front(self, server: SocketServer, stream: str) -> tuple[str, int]:
        """The address of an nginx with this configuration, in which the addresses of the documents are replaced."""
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        module = None if nginx is None else self.module(nginx)
        if nginx is None or module is None:
            missing = "this test needs nginx with its stream module: apt-get install nginx libnginx-mod-stream"
            if "CI" in os.environ:
                self.fail(missing)
            raise SkipTest(missing)
        behind = server.ports[0].getHost()
        assert isinstance(behind, IPv4Address)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        # It inherits the socket, as when it replaces itself: then the port is free, and there at once.
        with socket.create_server(("127.0.0.1", 0)) as listening:
            host, port = listening.getsockname()
            for shown, ours in (
                ("listen 7000", f"listen {host}:{port}"),
                ("10.0.0.7:7000", f"{behind.host}:{behind.port}"),
            ):
                self.assertIn(shown, stream)
                stream = stream.replace(shown, ours)
            configuration = folder / "nginx.conf"
            configuration.write_text(FORM.format(module=module, folder=folder, stream=stream))
            process = subprocess.Popen(
                [nginx, "-c", str(configuration)],
                pass_fds=[listening.fileno()],
                env={**os.environ, "NGINX": f"{listening.fileno()};"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.terminate)
        return str(host), int(port)

    async def client_of(self, address: tuple[str, int]) -> Client:
        client = await TCP4ClientEndpoint(reactor, *address).connect(Factory.forProtocol(Client))
        assert isinstance(client, Client)
        return client

    def proxied(self) -> SocketServer:
        return self.serve(SocketServer("orders", LOCAL, "windev", proxy_protocol=True, drain_timeout=0.5))

    async def test_a_client_that_ends_its_stream_gets_its_whole_answer(self) -> None:
        server = self.proxied()
        address = self.front(server, documented())
        for message in (b"Hello World", os.urandom(500_000)):
            for _ in range(10):
                client = await self.client_of(address)
                frame = b"%d\r\n%s" % (len(message), message)
                client.send(frame)
                client.end()
                await client.lost
                self.assertTrue(bytes(client.received) == frame)
        self.assertEqual(self.logged("PROXY"), [])

    async def test_the_address_is_the_clients(self) -> None:
        server = self.proxied()
        client = await self.client_of(self.front(server, documented()))
        client.send(b"2\r\nhi")
        await client.until(5)
        (channel,) = server.channels.values()
        self.assertEqual(channel.info.peer, client.transport.getHost())
        assert channel.info.proxy is not None
        self.assertEqual(channel.info.proxy.header.version, 1)
        client.end()
        await client.lost

    async def test_without_half_close_answers_are_lost_as_the_documents_say(self) -> None:
        server = self.proxied()
        stream = documented()
        self.assertIn(HALF_CLOSE, stream)
        address = self.front(server, stream.replace(HALF_CLOSE, ""))
        received = []
        for _ in range(10):
            client = await self.client_of(address)
            client.send(b"11\r\nHello World")
            client.end()
            await client.lost
            received.append(bytes(client.received))
        self.assertIn(b"", received)

    async def test_behind_another_balancer_it_mixes_families_and_is_refused_in_one_line(self) -> None:
        server = self.proxied()
        stream = documented().replace("listen 7000;", "listen 7000 proxy_protocol; set_real_ip_from 127.0.0.1;")
        address = self.front(server, stream)
        client = await self.client_of(address)
        client.send(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 7000\r\n2\r\nhi")
        await client.lost
        self.assertEqual(bytes(client.received), b"")
        (line,) = self.logged("PROXY")
        self.assertIn("closed, bad PROXY header: '127.0.0.1' is no address of TCP6 (proxy_protocol)", line)
