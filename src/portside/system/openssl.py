"""openssl(1), for what Python's ssl cannot do: make a certificate."""

from __future__ import annotations

import subprocess

from portside.errors import NotSupported


def make_certificate(certificate: str, key: str, name: str, days: int = 1) -> None:
    """Write a self-signed certificate and its RSA key of 2048 bits to two files.  Raises NotSupported."""
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days)]
    words += [
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=DNS:{name}",
        "-out",
        certificate,
        "-keyout",
        key,
    ]
    step = "install openssl, or name a certificate and its key"
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotSupported("make", "certificate", "openssl(1) cannot be run", step) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise NotSupported("make", "certificate", f"openssl(1) says: {last}", step)
