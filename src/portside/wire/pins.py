"""Pins: the SHA-256 of a public key, by which a peer is known without any authority (RFC 7469, 2.4).

A pin is of the key (SubjectPublicKeyInfo, RFC 5280, 4.1.2.7), not of the certificate: a certificate that is renewed
for the same key keeps it.  `openssl pkey -pubin -outform der | sha256sum` over the key gives the same digits.
"""

from __future__ import annotations

import binascii

from portside.errors import BadReply, BadRequest
from portside.wire import asn1

PREFIX = "sha256:"
_SIZE = 32
_KEY_AT = 6  # after version, serial number, signature, issuer, validity, subject
_VERSION = 0xA0


def pin_of(certificate: bytes) -> str:
    """Return `sha256:` and 64 hexadecimal digits for a certificate in DER; raises BadReply for what is none."""
    import hashlib

    body = list(asn1.elements(asn1.inside(certificate, asn1.SEQUENCE, asn1.SEQUENCE) or b""))
    at = _KEY_AT if body and body[0][0] == _VERSION else _KEY_AT - 1  # a first version is left out
    if len(body) <= at or body[at][0] != asn1.SEQUENCE:
        raise BadReply("read certificate", "", "there is no public key where it should be")
    return PREFIX + hashlib.sha256(asn1.element(*body[at])).hexdigest()


def parse_pin(text: str) -> str:
    """Return a pin as `pin_of` writes it; also from curl's form, `sha256//` and base64.  Raises BadRequest."""
    kind, digits = text[: len(PREFIX)].lower(), text[len(PREFIX) :]
    try:
        if text.lower().startswith("sha256//"):
            raw = binascii.a2b_base64(text[len("sha256//") :], strict_mode=True)
        else:
            raw = bytes.fromhex(digits.replace(":", "")) if kind == PREFIX else b""
    except ValueError:
        raw = b""
    if len(raw) != _SIZE:
        raise BadRequest("read pin", f"'{text}'", "it is none", "write sha256: and 64 hexadecimal digits")
    return PREFIX + raw.hex()
