"""Certificates as plain values, compared with what `cryptography` reads from them."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from sockserve.tls.x509 import Certificate

KEY = ec.generate_private_key(ec.SECP256R1())
NAMES = x509.SubjectAlternativeName(
    [
        x509.DNSName("localhost"),
        x509.DNSName("*.example.org"),
        x509.IPAddress(ip_address("192.0.2.7")),
        x509.IPAddress(ip_address("::1")),
        x509.RFC822Name("till@example.org"),
        x509.UniformResourceIdentifier("spiffe://example.org/till"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]
)


def made(*subject: tuple[x509.ObjectIdentifier, str], after: int = 2060, names: bool = True) -> x509.Certificate:
    issuer = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(kind, value) for kind, value in subject]))
        .issuer_name(issuer)
        .public_key(KEY.public_key())
        .serial_number(0x80FF)
        .not_valid_before(datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC))
        .not_valid_after(datetime(after, 1, 2, 3, 4, 5, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return (builder.add_extension(NAMES, critical=False) if names else builder).sign(KEY, hashes.SHA256())


def read(certificate: x509.Certificate) -> Certificate:
    return Certificate.from_der(certificate.public_bytes(serialization.Encoding.DER))


class CertificateTests(SynchronousTestCase):
    def test_what_it_says(self) -> None:
        der = made((NameOID.ORGANIZATION_NAME, "Shop, GmbH"), (NameOID.COMMON_NAME, "till 3")).public_bytes(
            serialization.Encoding.DER
        )
        certificate = Certificate.from_der(der)
        self.assertEqual(certificate.subject, "CN=till 3,O=Shop\\, GmbH")
        self.assertEqual((certificate.issuer, certificate.common_name), ("CN=CA,C=DE", "till 3"))
        self.assertEqual(
            certificate.names,
            (
                "DNS:localhost",
                "DNS:*.example.org",
                "IP:192.0.2.7",
                "IP:::1",
                "email:till@example.org",
                "URI:spiffe://example.org/till",
            ),
        )
        self.assertEqual(certificate.serial, 0x80FF)
        self.assertEqual(certificate.not_before, datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC))
        self.assertEqual(certificate.not_after, datetime(2060, 1, 2, 3, 4, 5, tzinfo=UTC))
        self.assertEqual((certificate.der, certificate.fingerprint), (der, hashlib.sha256(der).hexdigest()))
        self.assertNotIn("der=", repr(certificate))

    def test_names_are_written_as_rfc_4514_has_them(self) -> None:
        for name in ("a,b+c=d", ' "x" ', "#1", "\\", "é ü 中", "<a;b>", " ", "x "):
            certificate = made((NameOID.COMMON_NAME, name), (NameOID.USER_ID, "7"), (NameOID.DOMAIN_COMPONENT, "org"))
            self.assertEqual(read(certificate).subject, certificate.subject.rfc4514_string(), name)
            self.assertEqual(read(certificate).common_name, name)

    def test_what_cannot_be_printed_is_escaped_in_names(self) -> None:
        for name in (
            "x\n2026-11-26 all is well",
            "x\r",
            "x\x1b[2J\x1b]0;title\x07",
            "x\u202ereversed\u2028next",
            "\x00",
        ):
            certificate = read(made((NameOID.COMMON_NAME, name), names=False))
            self.assertTrue(certificate.subject.isprintable(), certificate.subject)
            self.assertEqual((certificate.common_name, certificate.names), (name, ()))

    def test_a_name_of_a_kind_without_a_short_name_has_its_number(self) -> None:
        certificate = read(made((NameOID.SERIAL_NUMBER, "4711"), after=2049))
        self.assertEqual((certificate.subject, certificate.common_name), ("2.5.4.5=4711", ""))
        self.assertEqual(certificate.not_after.year, 2049)

    def test_whatever_is_none_is_a_value_error(self) -> None:
        der = made((NameOID.COMMON_NAME, "x")).public_bytes(serialization.Encoding.DER)
        for end in range(len(der)):
            with self.assertRaises(ValueError):
                Certificate.from_der(der[:end])
        for at in range(len(der)):
            for byte in (0, 0x7F, 0x80, 0xFF):
                with contextlib.suppress(ValueError):
                    Certificate.from_der(der[:at] + bytes([byte]) + der[at + 1 :])
