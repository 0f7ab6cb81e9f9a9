"""The admin site over real HTTP: what it tells, and who may have it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import SkipTest

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from sockserve.admin.metrics import PROCESS_FIGURES, SOCKET_FIGURES
from sockserve.admin.service import AdminService
from sockserve.admin.site import Answer
from sockserve.connection.channel import Channel
from sockserve.server.admin import Admin
from sockserve.server.endpoints import opening
from sockserve.server.figures import answer, merge
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer
from tests.support import reactor
from tests.support.sockets import LOCAL, Client, SocketCase, turn

TOKEN = "a-token-of-the-tests"


class Response:
    """status, headers, body."""

    def __init__(self, received: bytes) -> None:
        head, _, self.body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = Headers()
        for line in lines:
            name, _, value = line.partition(": ")
            self.headers.addRawHeader(name, value)

    @property
    def text(self) -> str:
        return self.body.decode()


class SiteCase(SocketCase):
    """A named socket "orders", and the site that tells of it."""

    def start(
        self,
        *,
        token: str | None = TOKEN,
        loopback: bool = True,
        view: Callable[[Answer], Any] | None = None,
        **options: Any,  # noqa: ANN401 - as SocketServer's
    ) -> SocketServer:
        socket = SocketServer("orders", LOCAL, **{"framing": "windev", **options})
        self.server = Server([socket])
        settings = Admin(opening(LOCAL, "admin"), token, loopback)
        self.admin = AdminService(settings, view or partial(answer, self.server))
        self.admin.startService()
        self.addCleanup(self.admin.stopService)
        return socket

    async def ask(self, path: str, /, **headers: str) -> Response:
        """headers: with _ for -; Host and Content-Length are there unless given."""
        return await self.request("GET", path, b"", headers)

    async def post(self, body: bytes, /, **headers: str) -> Response:
        return await self.request("POST", "/act", body, headers)

    async def act(self, **question: object) -> Response:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"}
        return await self.post(json.dumps(question).encode(), **headers)

    async def request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        port: Any = self.admin.port
        client = await self.client(port, make=partial(Client, stays=True))
        host = f"127.0.0.1:{port.getHost().port}"
        fields = {"Host": host, "Content_Length": str(len(body)), **headers}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value]
        version = "1.1" if fields["Host"] else "1.0"
        head = "\r\n".join([f"{method} {path} HTTP/{version}", "Connection: close", *lines, "", ""])
        client.send(head.encode() + body)
        await client.ended
        client.transport.loseConnection()
        return Response(bytes(client.received))

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """The values by the name, the socket, and the other label."""
        text = (await self.ask("/metrics")).text
        return {
            (sample.name, *sorted(sample.labels.values(), key=lambda label: label != "orders")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


class MetricsTests(SiteCase):
    async def test_they_count_what_clients_have_done(self) -> None:
        socket = self.serve(self.start(handler=lambda message, _: message, framing="windev"))
        gone, bad, stays = [await self.client(socket) for _ in range(3)]
        for client in (gone, bad, stays):
            client.send(b"2\r\nab")
            await client.until(5)
        gone.end()
        bad.send(b"x")
        await gone.lost
        await bad.lost
        while len(socket.channels) > 1:
            await turn()
        values = await self.metrics()
        for name, expected in (
            ("connections", 1),
            ("connections_accepted_total", 3),
            ("messages_received_total", 3),
            ("messages_sent_total", 3),
            ("bytes_received_total", 16),
            ("bytes_sent_total", 15),
            ("handler_seconds_count", 3),
            ("pending_answers", 0),
            ("draining", 0),
        ):
            self.assertEqual(values[f"sockserve_{name}", "orders"], expected, name)
        self.assertEqual(values["sockserve_connections_closed_total", "orders", "peer"], 1)
        self.assertEqual(values["sockserve_connections_closed_total", "orders", "on_bad_frame"], 1)
        self.assertEqual(values["sockserve_bad_frames_total", "orders", "MalformedHeader"], 1)
        self.assertEqual((values["sockserve_workers",], values["sockserve_memory_budget_bytes",]), (1, 256 << 20))

    async def test_prometheus_accepts_them(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            if "CI" in os.environ:
                self.fail("promtool is missing")
            raise SkipTest("promtool is missing")
        socket = self.serve(self.start())
        client = await self.client(socket)
        client.send(b"x")
        await client.lost
        text = (await self.ask("/metrics")).body
        done = partial(subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, check=False)()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    async def test_each_figure_is_in_the_output(self) -> None:
        self.serve(self.start())
        text = (await self.ask("/metrics")).text
        for figure in (*SOCKET_FIGURES, *PROCESS_FIGURES):
            kind = "gauge" if figure.kind == "info" else figure.kind
            self.assertIn(f"# HELP {figure.full_name} {figure.help}\n", text)
            self.assertIn(f"# TYPE {figure.full_name} {kind}\n", text)
        self.assertIn(f'reactor="{reactor.name()}"', text)

    async def test_who_asks_for_openmetrics_gets_it(self) -> None:
        self.serve(self.start())
        response = await self.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
        self.assertIn("application/openmetrics-text", response.headers.getRawHeaders("content-type", [""])[0])
        self.assertTrue(response.text.endswith("# EOF\n"))


class HealthTests(SiteCase):
    async def test_it_is_well_while_it_accepts_connections(self) -> None:
        async def stay(channel: Channel) -> None:
            await channel.read()
            await waiting

        waiting: Deferred[None] = Deferred()
        socket = self.start(conversation=stay)
        seen = [(await self.ask("/healthz")).status]
        self.serve(socket)
        client = await self.client(socket)
        client.send(b"1\r\na")
        while not socket.channels or not socket.channel(1).info.messages_received:  # type: ignore[union-attr]
            await turn()
        seen.append((await self.ask("/healthz")).status)
        await self.act(ask="suspend", socket="orders")
        seen.append((await self.ask("/healthz")).status)
        await self.act(ask="resume", socket="orders")
        seen.append((await self.ask("/healthz/orders")).status)
        await self.act(ask="drain", socket="orders")
        response = await self.ask("/healthz")
        self.assertEqual((response.status, response.text), (503, "draining\n"))
        self.assertEqual((await self.metrics())["sockserve_draining", "orders"], 1)
        waiting.callback(None)
        await client.lost
        self.assertEqual(seen, [503, 200, 503, 200])
        self.assertEqual((await self.ask("/healthz/others")).status, 404)

    async def test_a_balancer_may_call_it_what_it_likes(self) -> None:
        self.serve(self.start())
        self.assertEqual((await self.ask("/healthz", Host="orders.example")).status, 200)

    async def test_without_an_answer_it_is_not(self) -> None:
        def fail(_: Answer) -> Answer:
            raise LookupError("the workers are gone")

        self.start(view=fail)
        self.assertEqual((await self.ask("/healthz")).status, 503)
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    async def test_before_a_worker_serves_it_is_not_and_that_is_no_fault(self) -> None:
        self.start(view=lambda _: merge([]))
        for path in ("/healthz", "/healthz/orders", "/metrics", "/view.json"):
            found = await self.ask(path)
            self.assertEqual((found.status, found.text), (503, "no process has answered\n"))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_an_answer_may_come_later(self) -> None:
        self.start(view=lambda question: succeed(answer(self.server, question)))
        self.assertEqual((await self.ask("/view.json")).status, 200)


class AccessTests(SiteCase):
    async def test_strangers_names_and_sites_get_nothing(self) -> None:
        self.start()
        for path in ("/", "/metrics", "/view.json", "/page.js"):
            for headers, status in (
                ({}, 200),
                ({"Host": "localhost:1"}, 200),
                ({"Host": "[::1]"}, 200),
                ({"Host": ""}, 200),
                ({"Host": "stranger.example"}, 421),
                ({"Host": "127.0.0.1.stranger.example:80"}, 421),
                ({"Host": "[x"}, 421),
                ({"Sec_Fetch_Site": "same-origin"}, 200),
                ({"Sec_Fetch_Site": "none"}, 200),
                ({"Sec_Fetch_Site": "cross-site"}, 403),
                ({"Sec_Fetch_Site": "same-site"}, 403),
                # Somebody follows a link.
                ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 200),
                # In a frame of the stranger's.
                ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}, 403),
                ({"Origin": "http://stranger.example"}, 403),
                ({"Origin": "null"}, 403),
            ):
                with self.subTest(path=path, headers=headers):
                    response = await self.ask(path, **headers)
                    self.assertEqual(response.status, status)

    async def test_actions_need_the_token_in_its_header(self) -> None:
        socket = self.serve(self.start())
        body = json.dumps({"ask": "suspend", "socket": "orders"}).encode()
        good = {"Authorization": f"Bearer {TOKEN}", "Content_Type": "application/json"}
        for wrong, status in (
            ({"Authorization": ""}, 401),
            ({"Authorization": f"Bearer {TOKEN}x"}, 401),
            ({"Authorization": f"Basic {TOKEN}"}, 401),
            ({"Authorization": "Bearer "}, 401),
            ({"Authorization": "Bearer t\xf6ken"}, 401),
            ({"Content_Type": "text/plain"}, 415),
            ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
            ({"Sec_Fetch_Site": "cross-site"}, 403),
            ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 403),
            ({"Origin": "http://stranger.example"}, 403),
            ({"Host": "stranger.example"}, 421),
        ):
            with self.subTest(wrong=wrong):
                response = await self.post(body, **{**good, **wrong})
                self.assertEqual((response.status, socket.state), (status, "open"))
        self.assertEqual((await self.ask("/act", **good)).status, 405)
        self.assertEqual((await self.post(body, **good)).status, 200)
        self.assertEqual(socket.state, "suspended")
        self.assertEqual(len(self.logged("orders is suspended")), 1)

    async def test_without_a_token_nothing_can_be_done(self) -> None:
        socket = self.serve(self.start(token=None))
        response = await self.act(ask="suspend", socket="orders")
        self.assertEqual((response.status, socket.state), (403, "open"))
        self.assertIn("admin_token_file", response.text)
        self.assertFalse(json.loads((await self.ask("/view.json")).body)["acts"])

    async def test_off_loopback_figures_need_the_token_too(self) -> None:
        self.serve(self.start(loopback=False))
        for path, without in (("/metrics", 401), ("/view.json", 401), ("/healthz", 200), ("/", 200)):
            self.assertEqual((await self.ask(path)).status, without, path)
            self.assertEqual((await self.ask(path, Authorization=f"Bearer {TOKEN}")).status, 200, path)

    async def test_what_is_no_action_is_refused(self) -> None:
        socket = self.serve(self.start())
        for body in (b"", b"[]", b"{", b"[" * 4000, b'{"ask": "figures"}', b'{"ask": ["suspend"]}', b"\xff"):
            response = await self.post(body, Authorization=f"Bearer {TOKEN}", Content_Type="application/json")
            self.assertEqual(response.status, 400, body)
        for question in (
            {"ask": "suspend"},
            {"ask": "suspend", "socket": "others"},
            {"ask": "close", "socket": "orders"},
        ):
            self.assertEqual((await self.act(**question)).status, 409)
        self.assertEqual(socket.state, "open")

    async def test_a_long_body_is_refused_before_it_comes(self) -> None:
        self.start()
        for length in ({"Content_Length": "5000"}, {"Content_Length": "", "Transfer_Encoding": "chunked"}):
            self.assertEqual((await self.post(b"", **length)).status, 413)

    async def test_each_answer_forbids_what_a_page_does_not_need(self) -> None:
        self.start()
        for path in ("/", "/metrics", "/view.json", "/act"):
            headers = (await self.ask(path)).headers
            self.assertIn("default-src 'none'", headers.getRawHeaders("content-security-policy", [""])[0])
            self.assertEqual(headers.getRawHeaders("x-content-type-options"), ["nosniff"])


class DocumentTests(SynchronousTestCase):
    def test_the_table_of_metrics_is_that_of_the_code(self) -> None:
        page = (Path(__file__).parents[2] / "docs/monitoring.md").read_text()
        rows = [
            f"| `{each.full_name}{f'{{{each.label}}}' if each.label else ''}` | {each.kind} | {each.help} |"
            for each in (*SOCKET_FIGURES, *PROCESS_FIGURES)
        ]
        self.assertEqual([line for line in page.splitlines() if line.startswith("| `sockserve_")], rows)
