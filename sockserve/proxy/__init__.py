"""The PROXY protocol: a client's address, from the proxy in front of the server.

`parse` reads a header from the bytes that a stream starts with; sockserve.proxy.layer stands in front of a protocol.
"""

from __future__ import annotations

from sockserve.proxy.header import ClientTLS, Header, HeaderError
from sockserve.proxy.parsing import parse

__all__ = ["ClientTLS", "Header", "HeaderError", "parse"]
