"""TLS of a line: who the device must prove to be, and who we prove to be. There is no way round it to plain TCP.

Source: MODBUS/TCP Security Protocol Specification V3.6 (mutual certificates, TLS 1.2 or newer, the role extension).
"""

from __future__ import annotations

import os
import socket
import ssl

from cryptography import x509

from gridopt.devices.link.address import LineAddress
from gridopt.devices.link.fault import Fault, FaultKind

ROLE = x509.ObjectIdentifier("1.3.6.1.4.1.50316.802.1")
UTF8_STRING = 0x0C


def context(address: LineAddress) -> ssl.SSLContext:
    """What both sides must show. Files are read anew, so that a renewed certificate is taken. Raises Fault."""
    try:
        found = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(address.ca))
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        # A key with a password would make OpenSSL ask at the terminal, and wait.
        found.load_cert_chain(str(address.certificate), str(address.private_key), password="")
    except (OSError, ValueError) as error:
        raise Fault(FaultKind.OFFLINE, f"the certificates of this side cannot be used: {said(error)}") from error
    return found


def check_role(address: LineAddress, certificate: bytes | None) -> None:
    """Whether the peer's certificate, which is verified by now, carries the role. Raises Fault."""
    if not address.role:
        return
    found = role(certificate or b"")
    if found != address.role:
        shown = "none" if found is None else repr(found)
        raise Fault(FaultKind.OFFLINE, f"the device's certificate has role {shown}, not {address.role!r}")


def role(certificate: bytes) -> str | None:
    """The Modbus role in a certificate (DER); None without one, or with one that cannot be read."""
    try:
        extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_oid(ROLE).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None
    assert isinstance(extension, x509.UnrecognizedExtension)
    der = extension.value
    # A role is a short UTF8String: one byte of type, one of length.
    if len(der) < 2 or der[0] != UTF8_STRING or der[1] != len(der) - 2:
        return None
    return der[2:].decode("utf-8", errors="replace")


def said(error: Exception) -> str:
    """An error of the system in its own words, without its number."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
