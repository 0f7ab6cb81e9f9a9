"""Who may ask what over HTTP.

A browser asks in the name of whoever looks at a page, also at one of a stranger. Such a page can neither read what is
here, as long as it has another origin, nor make the browser send a token that only our own script knows. Two ways
remain, and both are closed here: a name of the stranger's that leads to our address (DNS rebinding) has another Host,
and a request across sites says so in its headers.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from twisted.web import http
from twisted.web.http import Request

_MISDIRECTED = 421


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to a request that is not allowed: its status, and one line."""

    code: int
    text: str


class Guard:
    """Says which requests are allowed.

    token: what allows to do something; None: nobody may.
    open: whether all who reach the endpoint may read; or else only with the token. named: whether the Host is checked:
        the endpoint is on loopback, so that it is an address, or localhost.
    """

    def __init__(self, token: str | None, *, open: bool, named: bool) -> None:  # noqa: A002 - the word for it
        self.acts = token is not None
        self.open = open
        self._named = named
        self._digest = None if token is None else _digest(token)

    def reading(self, request: Request) -> Refusal | None:
        """Why it may not read figures; None: it may."""
        refusal = self.showing(request)
        if refusal is None and not self.open:
            refusal = self._without_token(request)
        return refusal

    def acting(self, request: Request) -> Refusal | None:
        """Why it may not do something; None: it may."""
        refusal = self.showing(request)
        if refusal is not None:
            return refusal
        if not self.acts:
            return Refusal(http.FORBIDDEN, "there is no token (admin_token_file): nothing can be done here")
        if _header(request, "content-type").partition(";")[0].strip() != "application/json":
            return Refusal(http.UNSUPPORTED_MEDIA_TYPE, "the body is application/json")
        return self._without_token(request)

    def showing(self, request: Request) -> Refusal | None:
        """Why it may not have anything at all; None: it may have what has no figures in it."""
        host = _header(request, "host")
        # Browsers never leave it out.
        if self._named and host and not _is_own(host):
            return Refusal(_MISDIRECTED, "the Host is neither an address nor localhost")
        site, origin = _header(request, "sec-fetch-site"), _header(request, "origin")
        # "none": a person has opened it.
        if site not in ("", "same-origin", "none") and not (request.method == b"GET" and _navigates(request)):
            return Refusal(http.FORBIDDEN, "a page of another site may not ask")
        if origin and urlsplit(origin).netloc != host:
            return Refusal(http.FORBIDDEN, "a page of another origin may not ask")
        return None

    def _without_token(self, request: Request) -> Refusal | None:
        scheme, _, given = _header(request, "authorization").partition(" ")
        # Digests have one length: the time that it takes says nothing of the token, nor of its length.
        right = self._digest is not None and hmac.compare_digest(_digest(given.strip()), self._digest)
        if right and scheme.lower() == "bearer":
            return None
        return Refusal(http.UNAUTHORIZED, "the token is missing or wrong (Authorization: Bearer TOKEN)")


def _header(request: Request, name: str) -> str:
    return request.requestHeaders.getRawHeaders(name, [""])[0].strip()


def _navigates(request: Request) -> bool:
    """Whether somebody follows a link to the page: a stranger's page does not get to see it."""
    return _header(request, "sec-fetch-mode") == "navigate" and _header(request, "sec-fetch-dest") == "document"


def _is_own(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
