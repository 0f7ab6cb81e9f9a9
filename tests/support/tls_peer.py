"""A TLS client that does nothing by itself: OpenSSL in memory beside a blocking socket.

So a test decides which bytes go out together, and sees which come.
"""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from OpenSSL import SSL

from tests.support.twistd import PATIENCE

TLS1_2 = SSL.TLS1_2_VERSION
TLS1_3 = SSL.TLS1_3_VERSION
VERSIONS = {"TLS 1.2": TLS1_2, "TLS 1.3": TLS1_3}


class Peer:
    """One connection; its handshake is done when it is there, but for what `last_flight` keeps.

    version: of TLS, the only one it speaks.
    certificate: a file with the key and the certificate that it shows.
    preface: what goes out before it. server_name: what it asks for.
    last_flight: do not send the end of the handshake (TLS 1.3): it goes out with the first `send`.
    """

    def __init__(
        self,
        address: tuple[str, int],
        version: int = TLS1_3,
        certificate: Path | None = None,
        *,
        preface: bytes = b"",
        last_flight: bool = False,
        server_name: bytes = b"",
    ) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        # Old versions need the weak algorithms of their time.
        context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        if certificate is not None:
            context.use_privatekey_file(str(certificate))
            context.use_certificate_file(str(certificate))
        self.tls = SSL.Connection(context)
        self.tls.set_connect_state()
        if server_name:
            self.tls.set_tlsext_host_name(server_name)
        self.closed = False
        self.socket = socket.create_connection(address, PATIENCE)
        try:
            self.socket.sendall(preface)
            self._shake_hands(last_flight)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    @property
    def name(self) -> str:
        """Its address, as logs have it."""
        host, port = self.socket.getsockname()
        return f"{host}:{port}"

    def sealed(self) -> bytes:
        """What OpenSSL wants to send."""
        parts = []
        while True:
            try:
                parts.append(self.tls.bio_read(1 << 20))
            except SSL.WantReadError:
                return b"".join(parts)

    def seal(self, data: bytes, *, end: bool = False) -> bytes:
        """What goes over the wire for `data`; end: and for a close_notify behind it."""
        for start in range(0, len(data), 1 << 14):
            self.tls.send(data[start : start + (1 << 14)])
        if end:
            self.tls.shutdown()
        return self.sealed()

    def send(self, data: bytes, *, end: bool = False) -> None:
        self.socket.sendall(self.seal(data, end=end))

    def end(self) -> None:
        """Half-close as TLS has it."""
        self.send(b"", end=True)

    def read(self, count: int) -> bytes:
        """That many bytes, or fewer at the end of the stream."""
        data = b""
        while len(data) < count and (more := self._more()):
            data += more
        return data

    def rest(self) -> bytes:
        """Everything up to the end of the stream; AssertionError when no close_notify stands there, or not last."""
        parts = []
        while not self.closed and (more := self._more()):
            parts.append(more)
        assert self.closed, f"the stream ended without close_notify behind {sum(map(len, parts))} bytes"
        behind = self.socket.recv(1)
        assert not behind, f"{behind!r} stands behind the close_notify"
        return b"".join(parts)

    def _shake_hands(self, last_flight: bool) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except SSL.WantReadError:
                self.socket.sendall(self.sealed())
                data = self.socket.recv(1 << 16)
                if not data:
                    raise ConnectionError("ended in the handshake") from None
                self.tls.bio_write(data)
            else:
                if not last_flight:
                    self.socket.sendall(self.sealed())
                return

    def _more(self) -> bytes:
        """What one read brings, and b"" at the end of the stream."""
        while True:
            try:
                return self.tls.recv(1 << 16)
            except SSL.ZeroReturnError:
                self.closed = True
                return b""
            except SSL.WantReadError:
                data = self.socket.recv(1 << 16)
                if not data:
                    return b""
                self.tls.bio_write(data)
