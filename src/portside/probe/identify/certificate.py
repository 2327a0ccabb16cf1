"""What an X.509 certificate says: whom it is for, who made it, until when (RFC 5280, 4.1)."""

from __future__ import annotations

from portside.probe.identify.question import text
from portside.wire import asn1

_COMMON_NAME, _ORGANISATION = "2.5.4.3", "2.5.4.10"
_ALTERNATIVE = "2.5.29.17"
_DNS, _ADDRESS = 0x82, 0x87
_MOST_NAMES = 20


def read_certificate(der: bytes) -> dict[str, str]:
    """Return `subject`, `issuer`, `names`, `expires` (ISO 8601); what cannot be read is left out."""
    body = list(asn1.elements(asn1.inside(der, asn1.SEQUENCE, asn1.SEQUENCE) or b""))
    if body and body[0][0] == 0xA0:  # the version is optional
        body = body[1:]
    if len(body) < 6:
        return {}
    names = _names(body[6:])
    found = {
        "subject": _name(body[4][1]), "issuer": _name(body[2][1]), "expires": _expires(body[3][1]),
        "names": " ".join(names[:_MOST_NAMES]),
    }  # fmt: skip
    return {what: said for what, said in found.items() if said}


def _name(value: bytes) -> str:
    """Return the common name of a distinguished name, else the organisation."""
    found: dict[str, str] = {}
    for _, group in asn1.elements(value):
        pair = list(asn1.elements(asn1.inside(group, asn1.SEQUENCE) or b""))
        if len(pair) == 2:
            found.setdefault(asn1.dotted(pair[0][1]), text(pair[1][1]))
    return found.get(_COMMON_NAME) or found.get(_ORGANISATION, "")


def _expires(validity: bytes) -> str:
    """Return the end of a Validity: UTCTime with two digits of the year, or GeneralizedTime (RFC 5280, 4.1.2.5)."""
    times = list(asn1.elements(validity))
    if len(times) != 2 or not times[1][1][:-1].isdigit():
        return ""
    kind, raw = times[1]
    digits = raw[:-1].decode()
    if kind == 0x17 and len(digits) == 12:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    if len(digits) != 14:
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:]}Z"


def _names(rest: list[tuple[int, bytes]]) -> list[str]:
    """Return the subject's alternative names: DNS names and addresses."""
    from portside.ports.address import format_address

    extensions = b"".join(value for tag, value in rest if tag == 0xA3)
    for _, extension in asn1.elements(asn1.inside(extensions, asn1.SEQUENCE) or b""):
        parts = list(asn1.elements(extension))
        if len(parts) < 2 or asn1.dotted(parts[0][1]) != _ALTERNATIVE:
            continue
        names = asn1.elements(asn1.inside(parts[-1][1], asn1.SEQUENCE) or b"")
        return [
            text(value) if tag == _DNS else format_address(value)
            for tag, value in names
            if tag == _DNS or (tag == _ADDRESS and len(value) in (4, 16))
        ]
    return []
