"""Networks, and what counts as one peer."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from sockserve.addresses import host_of, parse_network, peer_of
from sockserve.limits.access import Access


class NetworkTests(SynchronousTestCase):
    def test_an_address_is_a_network_of_one(self) -> None:
        self.assertEqual(parse_network("192.0.2.7"), ip_network("192.0.2.7/32"))
        self.assertEqual(parse_network("2001:db8::/32"), ip_network("2001:db8::/32"))

    def test_anything_else_is_refused_in_one_line(self) -> None:
        for text in (
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::ffff:127.0.0.1/104",
            "example.org",
            "300.1.1.1",
            "::1/200",
            "fe80::1%eth0",
            "fe80::%eth0/64",
        ):
            with self.assertRaises(ValueError) as caught:
                parse_network(text)
            self.assertIn("accepted: an address or a network", str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_the_host_of_an_address(self) -> None:
        self.assertEqual(host_of(IPv4Address("TCP", "192.0.2.7", 1)), ip_address("192.0.2.7"))
        self.assertEqual(host_of(IPv6Address("TCP", "fe80::1%eth0", 1)), ip_address("fe80::1"))
        self.assertIsNone(host_of(UNIXAddress(b"/run/x.sock")))

    def test_an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client(self) -> None:
        self.assertEqual(host_of(IPv6Address("TCP", "::ffff:192.0.2.7", 1)), ip_address("192.0.2.7"))

    def test_the_addresses_of_a_64_network_are_one_peer(self) -> None:
        one, same, other = (peer_of(ip_address(f"2001:db8:0:{part}")) for part in ("1::1", "1:a:b:c:d", "2::1"))
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)

    def test_each_ipv4_address_is_a_peer(self) -> None:
        self.assertNotEqual(peer_of(ip_address("192.0.2.7")), peer_of(ip_address("192.0.2.8")))


class AccessTests(SynchronousTestCase):
    def test_without_networks_all_may_connect(self) -> None:
        self.assertIsNone(Access().refusal(ip_address("192.0.2.7")))

    def test_deny_goes_before_allow(self) -> None:
        access = Access((ip_network("192.0.2.0/24"), ip_network("::1")), (ip_network("192.0.2.128/25"),))
        for host, refusal in [("192.0.2.1", None), ("192.0.2.200", "deny"), ("10.0.0.1", "allow"), ("::1", None)]:
            self.assertEqual(access.refusal(ip_address(host)), refusal)

    def test_an_ipv4_client_is_in_networks_that_are_written_as_ipv6(self) -> None:
        for network, inside in [
            ("::ffff:192.0.2.7", True),
            ("::ffff:192.0.2.8", False),
            ("::ffff:192.0.2.0/120", True),
            ("::ffff:c000:200/120", True),
            ("::ffff:0:0/96", True),
            ("::ffff:0.0.0.0/97", False),
            ("::/0", True),
            ("::/64", True),
            ("2000::/3", False),
            ("::/96", False),
            ("0.0.0.0/0", True),
        ]:
            for host in ("192.0.2.7", "::ffff:192.0.2.7"):
                denied = Access(deny=(parse_network(network),)).refusal(ip_address(host))
                self.assertEqual(denied, "deny" if inside else None, (network, host))
                allowed = Access(allow=(parse_network(network),)).refusal(ip_address(host))
                self.assertEqual(allowed, None if inside else "allow", (network, host))

    def test_an_ipv6_client_is_in_no_ipv4_network(self) -> None:
        access = Access(allow=(ip_network("0.0.0.0/0"),))
        for host in ("::1", "::192.0.2.7", "2001:db8::1"):
            self.assertEqual(access.refusal(ip_address(host)), "allow")

    def test_clients_of_a_unix_socket_have_no_address(self) -> None:
        self.assertIsNone(Access((ip_network("192.0.2.0/24"),)).refusal(None))
