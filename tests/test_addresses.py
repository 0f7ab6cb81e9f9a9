"""How addresses are written."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from sockserve.addresses import format_address, host_of, peer_of


class FormatTests(SynchronousTestCase):
    def test_an_ipv4_client_is_written_alike_on_sockets_of_either_kind(self) -> None:
        for address in (IPv4Address("TCP", "192.0.2.7", 4711), IPv6Address("TCP", "::ffff:192.0.2.7", 4711)):
            self.assertEqual(format_address(address), "192.0.2.7:4711")
            self.assertEqual(peer_of(host_of(address)), ip_address("192.0.2.7"))  # type: ignore[arg-type]

    def test_ipv6_addresses_stand_in_brackets(self) -> None:
        for host in ("::1", "fe80::1%eth0", "::ffff:1:2:3", "::192.0.2.7"):
            self.assertEqual(format_address(IPv6Address("TCP", host, 80)), f"[{host}]:80")

    def test_unix_sockets_have_their_path_or_nothing(self) -> None:
        for name, text in [
            (b"/run/x.sock", "unix:/run/x.sock"),
            ("/run/\u00e4.sock".encode(), "unix:/run/\u00e4.sock"),
            (b"@\n\x1b[31m\xff", "unix:@\\n\\x1b[31m\\xff"),
            (None, "unix:"),
        ]:
            self.assertEqual(format_address(UNIXAddress(name)), text)

    def test_anything_else_is_one_printable_line(self) -> None:
        self.assertEqual(format_address("some\nthing"), "some\\nthing")
