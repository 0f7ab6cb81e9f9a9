"""The web site: /metrics, /healthz, the page and what its script asks for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from sockserve import __version__
from sockserve.addresses import address_attributes, format_address
from sockserve.admin.guard import Guard, Refusal
from sockserve.admin.metrics import exposition
from sockserve.text import printable

log = Logger()

Answer = dict[str, Any]

View = Callable[[Answer], "Deferred[Answer] | Answer"]
"""Answers a request of sockserve.server.figures: for one process, or for several, merged."""

# Seconds that a client has to send a request, and that a connection may be idle between two.
_TIMEOUT = 60
# Bytes of the body of a request.
_LONGEST = 4096

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

# What the files of the page are, by the ends of their names.
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"

_FIGURES = {"ask": "figures"}
_VIEW = {"ask": "view"}
_LOOKS = (_FIGURES, _VIEW)

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"


class SmallRequest(Request):
    """A request with a small body, or none: others are refused before any of it is kept."""

    def gotLength(self, length: int | None) -> None:
        too_long = length is None or length > _LONGEST
        super().gotLength(0 if too_long else length)
        if too_long:
            self.channel.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.channel.loseConnection()


class AdminSite(Site):
    """view: see View. guard: who may ask."""

    noisy = False
    requestFactory = SmallRequest

    def __init__(self, view: View, guard: Guard) -> None:
        super().__init__(_root(view, guard), timeout=_TIMEOUT)

    def log(self, request: http.Request) -> None:
        """Nothing: a scrape every few seconds is no event."""


def _root(view: View, guard: Guard) -> Resource:
    root = _Missing(guard)
    for file in (files("sockserve.admin") / "static").iterdir():
        kind = _KINDS["." + file.name.rpartition(".")[2]]
        path = b"" if file.name == _INDEX else file.name.encode()
        root.putChild(path, _File(file.read_bytes(), kind, guard))
    root.putChild(b"metrics", _Metrics(view, guard))
    root.putChild(b"healthz", _Health(view, guard))
    root.putChild(b"view.json", _Page(view, guard))
    root.putChild(b"act", _Act(view, guard))
    return root


class _Leaf(Resource):
    """What is common to all: headers, and refusals in one line."""

    methods: tuple[bytes, ...] = (b"GET", b"HEAD")

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def getChild(self, path: bytes, request: http.Request) -> Resource:
        return _Missing(self._guard)

    def render(self, request: http.Request) -> int | bytes:
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        refusal = self.refusal(request)
        if refusal is None and request.method not in self.methods:
            request.setHeader("Allow", b", ".join(self.methods))
            refusal = Refusal(http.NOT_ALLOWED, "this is not how to ask")
        if refusal is not None:
            if refusal.code == http.UNAUTHORIZED:
                request.setHeader("WWW-Authenticate", 'Bearer realm="sockserve"')
            return _reply(request, refusal.code, f"{refusal.text}\n".encode())
        return cast("int | bytes", super().render(request))

    def refusal(self, request: http.Request) -> Refusal | None:
        return self._guard.showing(request)


class _Missing(_Leaf):
    def refusal(self, request: http.Request) -> Refusal | None:
        return super().refusal(request) or Refusal(http.NOT_FOUND, "there is nothing here")


class _File(_Leaf):
    def __init__(self, content: bytes, kind: str, guard: Guard) -> None:
        super().__init__(guard)
        self._content = content
        self._kind = kind

    def render_GET(self, request: http.Request) -> bytes:
        return _reply(request, http.OK, self._content, self._kind)


class _Asking(_Leaf):
    """Asks the view, and then replies."""

    def __init__(self, view: View, guard: Guard) -> None:
        super().__init__(guard)
        self._view = view

    def _ask(self, request: http.Request, question: Answer, then: Callable[[http.Request, Answer], bytes]) -> int:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        async def reply() -> None:
            try:
                asked = self._view(question)
                answer = await asked if isinstance(asked, Deferred) else asked
                content = (self._none if "error" in answer and question in _LOOKS else then)(request, answer)
            except Exception:
                log.failure(
                    "a request to the admin endpoint failed", event_name="sockserve.admin.failed", attributes={}
                )
                content = _reply(request, http.SERVICE_UNAVAILABLE, b"no answer\n")
            if not gone:
                request.write(content)
                request.finish()

        Deferred.fromCoroutine(reply())
        return NOT_DONE_YET

    def _none(self, request: http.Request, answer: Answer) -> bytes:
        """No worker serves yet, or none any more."""
        return _reply(request, http.SERVICE_UNAVAILABLE, f"{answer['error']}\n".encode())


class _Metrics(_Asking):
    def refusal(self, request: http.Request) -> Refusal | None:
        return self._guard.reading(request)

    def render_GET(self, request: http.Request) -> int:
        return self._ask(request, _FIGURES, self._render)

    def _render(self, request: http.Request, answer: Answer) -> bytes:
        content, kind = exposition(answer, request.getHeader("accept") or "")
        return _reply(request, http.OK, content, kind)


class _Health(_Asking):
    """Of the program; and below it, of each socket by its name. Everybody may ask, by whatever name."""

    def __init__(self, view: View, guard: Guard, name: str = "") -> None:
        super().__init__(view, guard)
        self._name = name

    def refusal(self, request: http.Request) -> Refusal | None:
        return None

    def getChild(self, path: bytes, request: http.Request) -> Resource:
        return _Health(self._view, self._guard, path.decode("utf-8", "replace"))

    def render_GET(self, request: http.Request) -> int:
        return self._ask(request, _FIGURES, self._render)

    def _render(self, request: http.Request, answer: Answer) -> bytes:
        states = {name: socket["state"] for name, socket in answer["sockets"].items() if "state" in socket}
        if self._name:
            states = {self._name: states[self._name]} if self._name in states else {}
            if not states:
                return _reply(request, http.NOT_FOUND, b"there is no such socket\n")
        if "open" in states.values() or not answer["sockets"]:
            return _reply(request, http.OK, b"ok\n")
        return _reply(request, http.SERVICE_UNAVAILABLE, f"{' '.join(sorted({*states.values()}))}\n".encode())


class _Page(_Asking):
    def refusal(self, request: http.Request) -> Refusal | None:
        return self._guard.reading(request)

    def render_GET(self, request: http.Request) -> int:
        return self._ask(request, _VIEW, self._render)

    def _render(self, request: http.Request, answer: Answer) -> bytes:
        answer = {**answer, "now": time.time(), "acts": self._guard.acts, "version": __version__}
        return _reply(request, http.OK, json.dumps(answer).encode(), _JSON)


class _Act(_Asking):
    methods = (b"POST",)

    def refusal(self, request: http.Request) -> Refusal | None:
        return self._guard.acting(request) if request.method in self.methods else super().refusal(request)

    def render_POST(self, request: http.Request) -> int | bytes:
        assert request.content is not None
        try:
            question = json.loads(request.content.read())
        except (ValueError, RecursionError):
            question = None
        if not isinstance(question, dict) or question.get("ask") not in ("suspend", "resume", "drain", "close"):
            return _reply(request, http.BAD_REQUEST, b"the body is a JSON object that says what to do\n")
        return self._ask(request, question, self._render)

    def _render(self, request: http.Request, answer: Answer) -> bytes:
        said = printable(answer.get("done") or answer.get("error"))
        peer = format_address(request.getClientAddress())
        log.info(
            "admin {peer}: {said}",
            peer=peer,
            said=said,
            event_name="sockserve.admin.done",
            attributes=address_attributes(peer),
        )
        return _reply(request, http.CONFLICT if "error" in answer else http.OK, json.dumps(answer).encode(), _JSON)


def _reply(request: http.Request, code: int, content: bytes, kind: str = _TEXT) -> bytes:
    request.setResponseCode(code)
    request.setHeader("Content-Type", kind)
    request.setHeader("Content-Length", str(len(content)))
    return content
