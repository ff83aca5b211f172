"""Certificates for tests: an authority, and what it signs for a name on this machine, with or without a Modbus role."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROLE = x509.ObjectIdentifier("1.3.6.1.4.1.50316.802.1")
UTF8_STRING = 0x0C


@dataclass(frozen=True)
class Papers:
    """Files of one side: its certificate, its key, and the authority it trusts."""

    certificate: Path
    private_key: Path
    ca: Path

    def server(self) -> ssl.SSLContext:
        """A server that asks its clients for a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.certificate, self.private_key)
        return context


class Authority:
    """Signs certificates, and keeps all files in a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(_pem(self._signed(name, self._key, role=None, days=(-1, 30), authority=True)))

    def papers(
        self,
        name: str,
        *,
        role: str | bytes | None = None,
        days: tuple[float, float] = (-1, 30),
        host: str = "127.0.0.1",
        password: str = "",
    ) -> Papers:
        """``role`` as text, or as the bytes of the extension; ``days``: from when to when it is valid, from today."""
        key = ec.generate_private_key(ec.SECP256R1())
        stem = self.folder / f"{self.name}-{name}"
        papers = Papers(stem.with_suffix(".pem"), stem.with_suffix(".key"), self.ca)
        papers.certificate.write_bytes(_pem(self._signed(name, key, role, days, host=host)))
        hidden = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        kind = serialization.PrivateFormat.PKCS8
        papers.private_key.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, hidden))
        return papers

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        role: str | bytes | None,
        days: tuple[float, float],
        authority: bool = False,
        host: str = "",
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if host:
            names: list[x509.GeneralName] = [
                x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if role is not None:
            der = role if isinstance(role, bytes) else bytes((UTF8_STRING, len(role.encode()))) + role.encode()
            builder = builder.add_extension(x509.UnrecognizedExtension(ROLE, der), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
