"""IP addresses as text and as raw bytes, exactly as inet_ntop(3) and inet_pton(3) have them.

The kernel gives addresses in bulk and in network order, so they stay 4 or 16 raw bytes until a person reads them.
The text of IPv6 is RFC 5952's: lower case, no leading zeros, the first longest run of two or more zero groups as
`::`; an IPv4-mapped (`::ffff:1.2.3.4`) or IPv4-compatible (`::1.2.3.4`) address ends in dotted form where glibc's
does.  Written here because the standard ipaddress takes 3 microseconds for each address and milliseconds to import.
"""

from __future__ import annotations

from portside.errors import BadReply, BadRequest

_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291, 2.5.5.2
_COMPATIBLE = bytes(12)  # RFC 4291, 2.5.5.1 (deprecated)
_ZERO_RUNS = tuple(":0" * groups + ":" for groups in range(8, 1, -1))
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_DIGITS = tuple(map(str, range(256)))
_DIGITS_DOT = tuple(f"{number}." for number in range(256))


def format_ipv4(raw: bytes) -> str:
    """Return the dotted form of 4 bytes in network order."""
    try:
        a, b, c, d = raw
    except ValueError:
        raise _wrong_length(raw, "4") from None
    return _DIGITS_DOT[a] + _DIGITS_DOT[b] + _DIGITS_DOT[c] + _DIGITS[d]


def format_ipv6(raw: bytes) -> str:
    """Return the text of 16 bytes in network order, as inet_ntop(AF_INET6) does."""
    if len(raw) != 16:
        raise _wrong_length(raw, "16")
    if raw.startswith(_MAPPED):
        return "::ffff:" + format_ipv4(raw[12:])
    if raw.startswith(_COMPATIBLE):
        if raw[12] or raw[13]:
            return "::" + format_ipv4(raw[12:])
        last = raw[14] << 8 | raw[15]
        return f"::{last:x}" if last else "::"
    groups = f":{raw.hex(':', 2)}:".replace(":0", ":").replace(":0", ":").replace(":0", ":")
    if ":0:0:" in groups:
        for run in _ZERO_RUNS:
            at = groups.find(run)
            if at >= 0:
                return f"{groups[1:at]}::{groups[at + len(run) : -1]}"
    return groups[1:-1]


def format_address(raw: bytes) -> str:
    """Return the text of 4 raw bytes as IPv4, of 16 as IPv6."""
    if len(raw) == 4:
        return format_ipv4(raw)
    if len(raw) == 16:
        return format_ipv6(raw)
    raise _wrong_length(raw, "4 or 16")


def _wrong_length(raw: bytes, wanted: str) -> BadReply:
    return BadReply("format address", raw.hex(" "), f"{len(raw)} bytes instead of {wanted}")


def parse_address(text: str) -> bytes:
    """Return the 4 or 16 bytes that `text` stands for; BadRequest where inet_pton(3) would refuse.

    No brackets, no zone (`%eth0`), no octal or short forms: `10.1` and `010.0.0.1` mean different things to
    different programs.
    """
    raw = _parse_ipv6(text) if ":" in text else _parse_ipv4(text)
    if raw is None:
        raise BadRequest("read address", _quote(text), _why_not(text), "write it as 192.0.2.1 or 2001:db8::1")
    return raw


def parse_prefix(text: str) -> tuple[bytes, int]:
    """Return (address, bits) of `10.0.0.0/8`, `10/8`, `fe80::/10`; a plain address has its full length.

    A short IPv4 address is filled with zeros, as ss(8) does; bits past the length are cleared.
    """
    address, slash, length = text.partition("/")
    if not slash:
        raw = parse_address(text)
        return raw, len(raw) * 8
    if ":" not in address and address.count(".") < 3:
        address += ".0" * (3 - address.count("."))
    raw = parse_address(address)
    width = len(raw) * 8
    if not (_is_number(length) and len(length) < 4 and int(length) <= width):
        reason = f"the length {_quote(length)} is not a number from 0 to {width}"
        raise BadRequest("read prefix", _quote(text), reason)
    bits = int(length)
    return clear_host_bits(raw, bits), bits


def clear_host_bits(raw: bytes, bits: int) -> bytes:
    """Return the network address: `raw` with everything past the first `bits` bits zero."""
    host = len(raw) * 8 - bits
    return (int.from_bytes(raw, "big") >> host << host).to_bytes(len(raw), "big")


def _parse_ipv4(text: str) -> bytes | None:
    parts = text.split(".")
    if len(parts) != 4:
        return None
    numbers = []
    for part in parts:
        if not _is_number(part) or len(part) > 3 or (part[0] == "0" and part != "0") or int(part) > 255:
            return None
        numbers.append(int(part))
    return bytes(numbers)


def _parse_ipv6(text: str) -> bytes | None:
    left, gap, right = text.partition("::")
    if not gap:
        raw = _parse_groups(left)
        return raw if raw is not None and len(raw) == 16 else None
    if right and "." in left:  # the dotted form may only end an address
        return None
    head = _parse_groups(left) if left else b""
    tail = _parse_groups(right) if right else b""
    if head is None or tail is None or len(head) + len(tail) > 14 or (not right and "." in left):
        return None
    return head + bytes(16 - len(head) - len(tail)) + tail


def _parse_groups(text: str) -> bytes | None:
    groups = text.split(":")
    ending = b""
    if "." in groups[-1]:
        dotted = _parse_ipv4(groups.pop())
        if dotted is None:
            return None
        ending = dotted
    if not all(0 < len(group) < 5 and _HEX_DIGITS.issuperset(group) for group in groups):
        return None
    return b"".join([int(group, 16).to_bytes(2, "big") for group in groups]) + ending


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _why_not(text: str) -> str:
    if "%" in text:
        return "a zone (%) does not belong here"
    if text.startswith("["):
        return "brackets do not belong here"
    if "/" in text:
        return "it is a prefix, not an address"
    if (
        any(_is_number(part) and len(part) > 1 and part[0] == "0" for part in text.split("."))
        and ":" not in text
    ):
        return "a leading zero could mean octal"
    return f"not an {'IPv6' if ':' in text else 'IPv4'} address"


def _quote(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
