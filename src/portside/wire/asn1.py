"""DER, as far as LDAP, SNMP, Kerberos and X.509 need it (ITU-T X.690): tag, length, value; values within values.

Reading is bounded by the bytes that are there; what does not fit ends the reading.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

INTEGER, OCTETS, NULL, OID, ENUMERATED, UTF8, SEQUENCE, SET = 2, 4, 5, 6, 10, 12, 0x30, 0x31


def element(tag: int, *parts: bytes) -> bytes:
    """Return one element; a constructed one is given as the elements in it."""
    value = b"".join(parts)
    size = len(value)
    if size < 128:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + value


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Return an integer that is not negative."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, value) of the elements in `data`, up to the first that is cut short or malformed."""
    at = 0
    while at + 2 <= len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or at + count > len(data):
                return
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            return
        yield tag, data[at : at + size]
        at += size


def inside(data: bytes, *tags: int) -> bytes | None:
    """Return the value found by going down: the first element must have each tag in turn."""
    for tag in tags:
        found = next(elements(data), None)
        if found is None or found[0] != tag:
            return None
        data = found[1]
    return data


def dotted(value: bytes) -> str:
    """Return an object identifier's text."""
    if not value:
        return ""
    numbers = [min(value[0] // 40, 2), value[0] - 40 * min(value[0] // 40, 2)]
    current = 0
    for byte in value[1:64]:
        current = current << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(current)
            current = 0
    return ".".join(map(str, numbers))
