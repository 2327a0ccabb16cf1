"""Who may connect: networks and rinetd's patterns, allowed and denied.

A source passes when no denial matches it and, if there are allowances, one of them does.  Of several lists (rinetd's
global and own ones) all must let it pass.  A Unix socket's peer is not asked for: the path's mode decides.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports.address import parse_address, parse_prefix
from portside.record import Record

_MAPPED = bytes(10) + b"\xff\xff"


class Network(Record):
    """The addresses whose first `bits` bits are those of `address`."""

    address: bytes
    bits: int

    def matches(self, raw: bytes) -> bool:
        """Whether an address of 4 or 16 bytes is one of them."""
        if len(raw) != len(self.address):
            return False
        shift = len(raw) * 8 - self.bits
        return int.from_bytes(raw, "big") >> shift == int.from_bytes(self.address, "big") >> shift


class Pattern(Record):
    """rinetd's pattern of an IPv4 address's text: `?` is any one character, `*` any number of them."""

    text: str

    def matches(self, raw: bytes) -> bool:
        """Whether an address's text matches."""
        return len(raw) == 4 and _glob(self.text, ".".join(map(str, raw)))


class Access(Record):
    """One list of allowances and one of denials."""

    allow: tuple[Network | Pattern, ...] = ()
    deny: tuple[Network | Pattern, ...] = ()

    def admits(self, raw: bytes) -> bool:
        """Whether a source may connect."""
        if any(each.matches(raw) for each in self.deny):
            return False
        return not self.allow or any(each.matches(raw) for each in self.allow)


def parse_network(text: str) -> Network:
    """Read `10.0.0.0/8`, `2001:db8::/32`, one address.  Raises BadRequest."""
    address, bits = parse_prefix(text)
    return Network(address, bits)


def raw_address(host: str) -> bytes:
    """Return the bytes of a peer's address; an IPv4 one that came through IPv6 is the IPv4 one; empty for none."""
    try:
        raw = parse_address(host.partition("%")[0])
    except BadRequest:
        return b""
    return raw[12:] if raw.startswith(_MAPPED) and len(raw) == 16 else raw


def _glob(pattern: str, text: str) -> bool:
    """Match with at most one step back for each star: no pattern takes long."""
    at = place = 0
    star, mark = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] in ("?", text[at]):
            at, place = at + 1, place + 1
        elif place < len(pattern) and pattern[place] == "*":
            star, mark = place, at
            place += 1
        elif star >= 0:
            mark += 1
            at, place = mark, star + 1
        else:
            return False
    return not pattern[place:].strip("*")
