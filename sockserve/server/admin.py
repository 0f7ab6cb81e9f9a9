"""The settings of the admin endpoint: who may reach it, and what is needed to do something there."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from os import name as system
from pathlib import Path
from typing import TYPE_CHECKING

from sockserve.addresses import endpoint_parts
from sockserve.fields import SettingError, Value, of
from sockserve.server.endpoints import KINDS, Opening, opening

if TYPE_CHECKING:
    from sockserve.server.settings import SocketSettings

ADMIN_ENDPOINT = Value(
    "an endpoint, such as tcp:9464:interface=127.0.0.1 or unix:/run/admin.sock:mode=660", of(str), "ENDPOINT"
)
TOKEN_FILE = Value("the name of a file", of(str), "FILE")

_KINDS = ("tcp", "tcp6", "unix", "ssl", "tls")
# Characters: more than anybody can try.
_SHORTEST = 16
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Admin:
    """The checked settings. Checking opens nothing, but reads files.

    opening: the endpoint. token: what allows to do something; None: nothing can be done. loopback: whether only this
    machine reaches the endpoint.
    """

    opening: Opening
    token: str | None
    loopback: bool

    @classmethod
    def of(cls, endpoint: str, token_file: str | None, sockets: Iterable[SocketSettings]) -> Admin:
        """Check them. Raises SettingError for "admin" or "admin_token_file".

        sockets: those of the same program, which have endpoints of their own.
        """
        kind = endpoint.partition(":")[0].lower()
        if kind not in _KINDS:
            raise SettingError("admin", f"{endpoint!r} is none of its kinds; accepted: {', '.join(_KINDS)}")
        if find_spec("prometheus_client") is None:
            raise SettingError(
                "admin", "prometheus_client is not installed; accepted: pip install 'sockserve[metrics]'"
            )
        try:
            opened = opening(endpoint, "admin")
        except ValueError as error:
            raise SettingError("admin", error) from error
        for socket in sockets:
            if opened.address is not None and opened.address in [each.opening.address for each in socket.listens]:
                raise SettingError(
                    "admin", f"{endpoint!r}: socket {socket.name!r} listens there; accepted: another one"
                )
        loopback = _on_loopback(kind, endpoint)
        if not loopback and (opened.certificates is None or token_file is None):
            accepted = "interface=127.0.0.1, unix, or ssl or tls with admin_token_file"
            raise SettingError("admin", f"{endpoint!r} is open to the network; accepted: {accepted}")
        return cls(opened, None if token_file is None else token_in(token_file), loopback)


def _on_loopback(kind: str, endpoint: str) -> bool:
    if kind == "unix":
        return True
    interface = KINDS[kind].form.read(endpoint_parts(endpoint)[1:]).get("interface", "")
    try:
        return ip_address(interface).is_loopback
    except ValueError:
        return bool(interface == "localhost")


def token_in(file: str) -> str:
    """The token in a file that nobody else may read. Raises SettingError for "admin_token_file"."""

    def refuse(reason: str) -> SettingError:
        return SettingError("admin_token_file", f"{file}: {reason}")

    try:
        with Path(file).open("rb") as stream:
            mode = stat.S_IMODE(Path(file).stat().st_mode)
            content = stream.read(_LONGEST + 1)
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    if system == "posix" and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise refuse(f"others may read or write it, its mode is {mode:o}; accepted: 600 (chmod 600)")
    token = content.strip().decode("ascii", "replace")
    if not token:
        raise refuse("is empty; accepted: a token in one line")
    if not (token.isascii() and token.isprintable() and " " not in token) or len(content) > _LONGEST:
        raise refuse("has more than a token; accepted: one line of ASCII letters, digits and marks")
    if len(token) < _SHORTEST:
        raise refuse(f"the token has {len(token)} characters; accepted: {_SHORTEST} or more")
    return token
