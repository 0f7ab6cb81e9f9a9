"""The PROXY protocol: a client's address, as its proxy sends it.

`parse` reads a header from the bytes that a stream starts with; sockserve.proxy.layer wraps a protocol.
"""

from __future__ import annotations

from sockserve.proxy.header import ClientTLS, Header, HeaderError
from sockserve.proxy.parsing import parse

__all__ = ["ClientTLS", "Header", "HeaderError", "parse"]
