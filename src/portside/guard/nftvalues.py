"""The expressions of nft's JSON: left sides to keys, right sides to boxes.

What stands here is what `nft -j list ruleset` prints, from 0.9.9 to 1.1: flags of a `fib` as text or list, a value of
several flags as list or as `|` with any number of operands, types as text or list.  Everything else raises
`Unreadable`, which the caller turns into an open question: a test that is not understood is never left out.
Reference: libnftables-json(5), src/json.c, src/parser_json.c.
"""

from __future__ import annotations

from portside.guard.fields import FIELDS, Field, symbol, whole
from portside.guard.model import Key
from portside.ports.address import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.guard.model import Box, Span


class Unreadable(Exception):
    """An expression that no key or box says: `kind` is that of the open question it becomes, None an absent field."""

    def __init__(self, what: str, kind: str | None = "unreadable", shared: bool = False) -> None:
        super().__init__(what)
        self.what, self.kind, self.shared = what, kind, shared


_META = {
    "iif": "iifname",
    "oif": "oifname",
    "nfproto": "nfproto",
    "l4proto": "l4proto",
    "protocol": "protocol",
}
_META |= {
    name: name for name in ("iifname", "oifname", "iifgroup", "oifgroup", "iifkind", "oifkind", "mark", "pkttype")
}  # fmt: skip
_OPEN_META = {
    "time": "time", "day": "time", "hour": "time", "random": "random", "cgroup": "program", "skuid": "program",
    "skgid": "program", "priority": "state", "cpu": "random", "ibrname": "link", "obrname": "link",
    "ibriport": "link", "obriport": "link", "ipsec": "state", "secmark": "state", "length": "content",
}  # fmt: skip
# payload of the packet by place: (base, offset, length) in bits, for each family
_RAW = {
    ("ip", "nh", 96, 32): "ip saddr", ("ip", "nh", 128, 32): "ip daddr", ("ip", "nh", 72, 8): "ip protocol",
    ("ip", "nh", 64, 8): "ip ttl", ("ip6", "nh", 64, 128): "ip6 saddr", ("ip6", "nh", 192, 128): "ip6 daddr",
    ("ip6", "nh", 48, 8): "ip6 nexthdr", ("ip6", "nh", 56, 8): "ip6 hoplimit",
    ("", "th", 0, 16): "th sport", ("", "th", 16, 16): "th dport",
}  # fmt: skip
_CONTENT = ("tcp", "udp", "ip", "ip6", "sctp", "dccp", "udplite", "th", "icmp", "icmpv6")


def keys(left: Any, family: str) -> tuple[Key, ...]:
    """Return the keys of a left side, several for a concatenation; `family` is the table's."""
    if isinstance(left, dict) and "concat" in left:
        return tuple(key for part in left["concat"] for key in keys(part, family))
    return (_key(left, family),)


def _key(left: Any, family: str) -> Key:
    if not isinstance(left, dict) or len(left) != 1:
        raise Unreadable(f"{left}")
    ((kind, what),) = left.items()
    if kind == "&" and isinstance(what, list) and len(what) == 2:
        inner = _key(what[0], family)
        if inner.mask or inner.shift:
            raise Unreadable("a mask of a mask")
        return Key(inner.field, number(what[1], FIELDS[inner.field]))
    if kind == ">>" and isinstance(what, list) and isinstance(what[1], int):
        inner = _key(what[0], family)
        return Key(inner.field, inner.mask, inner.shift + what[1])
    read = _READERS.get(kind)
    if read is None:
        raise Unreadable(*_OPEN.get(kind, (kind, "unreadable")))
    return Key(read(what, family))


def _payload(what: dict[str, Any], family: str) -> str:
    if "base" in what:
        base, offset, length = what["base"], what["offset"], what["len"]
        for one in (family, ""):
            name = _RAW.get((one, base, offset, length))
            if name:
                return name
        raise Unreadable(f"@{base},{offset},{length}", "content")
    name = f"{what['protocol']} {what['field']}"
    if name in FIELDS:
        return name
    if what["protocol"] in ("ether", "vlan", "arp"):
        raise Unreadable(name, "link")
    raise Unreadable(name, "content" if what["protocol"] in _CONTENT else "unreadable")


def _meta(what: dict[str, Any], family: str) -> str:
    key = what["key"]
    if key in _META:
        return _META[key]
    raise Unreadable(f"meta {key}", _OPEN_META.get(key, "unreadable"), _OPEN_META.get(key) == "time")


def _ct(what: dict[str, Any], family: str) -> str:
    key, direction = what["key"], what.get("dir", "")
    name = f"ct {direction} {key}" if direction else f"ct {key}"
    if direction == "original" and key in ("saddr", "daddr") and family in ("ip", "ip6"):
        name = f"ct original {family} {key}"
    if name in FIELDS:
        return name
    raise Unreadable(name, "state")


def _fib(what: dict[str, Any], family: str) -> str:
    flags = what.get("flags", [])
    # the mark chooses a routing table where routing rules say so, of which a note tells (Environment.policy_routing)
    flags = sorted({flags} if isinstance(flags, str) else set(flags) - {"mark"})
    result = what.get("result")
    if result == "type" and flags in (["daddr"], ["saddr"]):
        return f"fib {flags[0]} type"
    if result == "type" and flags in (["daddr", "iif"], ["iif", "saddr"]):
        return f"fib {(set(flags) - {'iif'}).pop()} iif type"
    if result in ("oif", "oifname", "check") and flags == ["iif", "saddr"]:
        return "reverse path"
    raise Unreadable(f"fib {' . '.join(flags)} {result}", "state")


_READERS = {"payload": _payload, "meta": _meta, "ct": _ct, "fib": _fib}
# what cannot be decided, and what no packet of a new connection to a port has (None)
_OPEN: dict[str, tuple[str, str | None]] = {
    "numgen": ("numgen", "random"),
    "jhash": ("jhash", "random"),
    "symhash": ("symhash", "random"),
    "tcp option": ("tcp option", "content"),
    "socket": ("socket", "program"),
    "osf": ("osf", "content"),
    "rt": ("rt", "state"),
    "ipsec": ("ipsec", "state"),
    "exthdr": ("an extension header", None),
    "ip option": ("an IP option", None),
    "sctp chunk": ("an SCTP chunk", "content"),
    "dccp option": ("a DCCP option", "content"),
}


def boxes(right: Any, wanted: tuple[Key, ...]) -> tuple[Box, ...]:
    """Return the boxes of a right side: one value, a brace set, a concatenation."""
    if isinstance(right, dict) and "set" in right:
        members = right["set"] if isinstance(right["set"], list) else [right["set"]]
        return tuple(element(member, wanted) for member in members)
    return (element(right, wanted),)


def element(member: Any, wanted: tuple[Key, ...]) -> Box:
    """Return the box of one element; a lone `*` is everything."""
    while isinstance(member, dict) and "elem" in member:
        member = member["elem"]["val"]
    if member == "*" and wanted[0].field not in ("iifname", "oifname"):
        return tuple(whole(FIELDS[key.field]) for key in wanted)
    if isinstance(member, dict) and "concat" in member:
        parts = member["concat"]
        if len(parts) != len(wanted):
            raise Unreadable("a concatenation of another length")
        return tuple(span(part, FIELDS[key.field]) for part, key in zip(parts, wanted, strict=True))
    if len(wanted) != 1:
        raise Unreadable("one value for several fields")
    return (span(member, FIELDS[wanted[0].field]),)


def span(value: Any, field: Field) -> Span:
    """Return what one value covers: an address, a prefix, a range, a word, a number, a name of interfaces."""
    if field.width == 0:
        if isinstance(value, str):
            return value
        raise Unreadable(f"{value}")
    if isinstance(value, dict):
        if "range" in value:
            low, high = value["range"]
            return number(low, field), number(high, field)
        if "prefix" in value:
            bits = field.width - value["prefix"]["len"]
            low = number(value["prefix"]["addr"], field) >> bits << bits
            return low, low | (1 << bits) - 1
    one = number(value, field)
    return one, one


def number(value: Any, field: Field) -> int:
    """Return the number that stands for one value; raises Unreadable."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, str):
        known = symbol(field, value)
        if known is not None:
            return known
        if field.width in (32, 128) and (":" in value or "." in value):
            return address(value)
        try:
            return int(value, 0)
        except ValueError:
            raise Unreadable(value) from None
    if isinstance(value, dict) and "|" in value:
        value = value["|"]
    if isinstance(value, list):
        total = 0
        for part in value:
            total |= number(part, field)
        return total
    raise Unreadable(f"{value}")


def address(text: str) -> int:
    """Return an address as a number."""
    try:
        return int.from_bytes(parse_address(text), "big")
    except Exception as error:
        raise Unreadable(text) from error


def is_flags(field: str) -> bool:
    """Whether a lone positive value tests a bit and not equality (bitmask types: ct state, ct status, tcp flags)."""
    return field in ("ct state", "ct status", "tcp flags")
