"""openssl(1), for what Python's ssl cannot do: make a certificate."""

from __future__ import annotations

from portside.errors import NotSupported, PortsideError
from portside.system import commands


def make_certificate(certificate: str, key: str, name: str, days: int = 1) -> None:
    """Write a self-signed certificate and its RSA key of 2048 bits to two files.  Raises NotSupported."""
    words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days))
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    try:
        commands.run((*words, *names, "-out", certificate, "-keyout", key), timeout=60.0)
    except PortsideError as error:
        step = "install openssl, or name a certificate and its key"
        raise NotSupported("make", "certificate", f"openssl(1): {error.reason}", step) from error
