"""The statements of nft's JSON that act: verdicts, translations, marks, sets that packets fill, limits."""

from __future__ import annotations

from portside.guard.fields import FIELDS
from portside.guard.model import Assign, Key, Match, Nat, Note, Notrack, Unknown, Update, Verdict
from portside.guard.nftvalues import Unreadable, address, element, keys, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.guard.sets import NamedSet

    Finder = Callable[[Any], NamedSet | None]

_FINAL = ("accept", "drop", "return", "continue")
_PORTS = FIELDS["th dport"]
RANDOM = ("numgen", "jhash", "symhash")


def action(kind: str, what: Any, family: str, find: Finder) -> list[Any]:
    """Return the statements of one action; raises Unreadable for what this version does not know."""
    if kind in _FINAL:
        return [Verdict(kind)]
    if kind in ("jump", "goto"):
        return [Verdict(kind, what["target"])]
    if kind == "reject":
        return _reject(what or {}, family)
    if kind == "queue":
        flags = what.get("flags", []) if isinstance(what, dict) else []
        return [Verdict("queue", detail="bypass" if "bypass" in flags else "")]
    if kind in ("dnat", "redirect", "snat", "masquerade"):
        return [_nat(kind, what if isinstance(what, dict) else {}, family, find)]
    if kind == "notrack":
        return [Notrack()]
    if kind == "mangle":
        return _mangle(what, family, find)
    if kind in ("set", "map"):
        return _update(what, family)
    if kind == "meter" and isinstance(what, dict):
        return [*_present(what.get("key"), family), Unknown(_limit_text(kind, what), "limit")]
    if kind in ("limit", "quota", "ct count", "meter", "connlimit"):
        return [Unknown(_limit_text(kind, what), "limit")]
    if kind in ("synproxy", "fwd"):
        return [Verdict("steal", detail=kind)]
    if kind == "flow":
        return [Note("flow")]
    if kind == "tproxy":
        return [Unknown("tproxy", "program", effect=True)]
    raise Unreadable(kind)


def _reject(what: dict[str, Any], family: str) -> list[Any]:
    """Return a refusal (`tcp reset`, or the ICMP code), and the test its kind implies, which nft does not print."""
    kind = what.get("type", "icmp" if family == "ip" else "icmpv6" if family == "ip6" else "icmpx")
    if kind == "tcp reset":
        return [Match((Key("l4proto"),), (((6, 6),),)), Verdict("reject", detail=kind)]
    verdict = Verdict("reject", detail=str(what.get("expr", "port-unreachable")))
    number = {"icmp": 2, "icmpv6": 10}.get(kind)
    return [verdict] if number is None else [Match((Key("nfproto"),), (((number, number),),)), verdict]


def _limit_text(kind: str, what: Any) -> str:
    if kind != "limit" or not isinstance(what, dict) or "rate" not in what:
        return kind if not isinstance(what, str) else f"{kind} {what}"
    over = "over " if what.get("inv") else ""
    unit = f"{what['rate_unit']}/" if what.get("rate_unit", "packets") != "packets" else "/"
    return f"limit rate {over}{what['rate']}{unit}{what.get('per', 'second')}"


def _present(expr: Any, family: str) -> list[Any]:
    """Return the test that fields imply which stand in no match: a packet of the other family breaks the rule off."""
    if isinstance(expr, dict) and "elem" in expr:
        expr = expr["elem"].get("val")
    try:
        families = {FIELDS[key.field].family for key in keys(expr, family)} - {"", family}
    except Unreadable:
        return []
    return [Match((Key("nfproto"),), (((2, 2) if one == "ip" else (10, 10),),)) for one in sorted(families)]


def _update(what: dict[str, Any], family: str) -> list[Any]:
    name = what["set"]
    made: list[Any] = [
        *_present(what.get("elem"), family),
        Update(name if isinstance(name, str) else str(name)),
    ]
    inner = what.get("stmt") or []
    for statement in [inner] if isinstance(inner, dict) else inner:
        ((kind, body),) = statement.items()
        if kind != "counter":
            made.append(Unknown(f"{_limit_text(kind, body)} for each element of {name}", "limit"))
    return made


def _mangle(what: dict[str, Any], family: str, find: Finder) -> list[Any]:
    """Return the assignment of a mark; other fields matter to nobody who asks for ports."""
    try:
        (key,) = keys(what["key"], family)
    except Unreadable:
        return [Note("mangle")]
    if key.field not in ("mark", "ct mark"):
        if FIELDS[key.field].base in ("saddr", "daddr", "sport", "dport", "l4proto"):
            raise Unreadable(f"{key.field} set by hand")
        return [Note(f"{key.field} set")]
    try:
        return [_assign(key.field, what["value"], family, find)]
    except Unreadable as unread:
        return [Assign(key.field, unknown=unread.what)]


def _assign(field: str, value: Any, family: str, find: Finder) -> Assign:
    if isinstance(value, dict) and "map" in value:
        found = keys(value["map"]["key"], family)
        choices = tuple(
            (element(one, found), number(data, FIELDS[field])) for one, data in _pairs(value["map"], find)
        )
        return Assign(field, keys=found, choices=choices)
    mask, flip, source = _linear(value, family)
    return Assign(field, flip, mask, source)


def _linear(value: Any, family: str) -> tuple[int, int, str]:
    """Return (mask, flip, source) of an expression of & | ^ over one mark: (source & mask) ^ flip."""
    whole = 0xFFFFFFFF
    if isinstance(value, dict) and len(value) == 1:
        ((op, parts),) = value.items()
        if op in ("&", "|", "^"):
            mask, flip, source = _linear(parts[0], family)
            for part in parts[1:]:  # several operands in one since nft 1.1.0
                bits = number(part, FIELDS["mark"])
                if op == "&":
                    mask, flip = mask & bits, flip & bits
                elif op == "|":
                    mask, flip = mask & ~bits & whole, flip & ~bits & whole | bits
                else:
                    flip ^= bits
            return mask, flip, source
        (key,) = keys(value, family)
        if key.field in ("mark", "ct mark") and not key.mask and not key.shift:
            return whole, 0, key.field
        raise Unreadable(f"a mark taken from {key.field}")
    return 0, number(value, FIELDS["mark"]), ""


def _pairs(what: dict[str, Any], find: Finder) -> list[Any]:
    named = find(what["data"])
    if named is not None:
        return named.elements
    pairs: list[Any] = what["data"]["set"]
    return pairs


def _nat(kind: str, what: dict[str, Any], family: str, find: Finder) -> Nat:
    wanted = what.get("family", family if family in ("ip", "ip6") else "")
    flags = what.get("flags", [])
    to, port = what.get("addr"), what.get("port")
    if (isinstance(flags, list) and "netmap" in flags) or flags == "netmap":
        raise Unreadable("netmap")
    for part in (to, port):
        if isinstance(part, dict) and "map" in part:
            return _mapped(kind, wanted, what, family, find)
    return Nat(kind, wanted, _addresses(to), _ports(port))


def _mapped(kind: str, wanted: str, what: dict[str, Any], family: str, find: Finder) -> Nat:
    """Return a translation that looks its target up; by chance where the key is a random number."""
    to, port = what.get("addr"), what.get("port")
    by_address = isinstance(to, dict) and "map" in to
    mapping = (to if by_address else port)["map"]  # type: ignore[index]
    chance = next((word for word in RANDOM if word in mapping["key"]), "")
    found = () if chance else keys(mapping["key"], family)
    choices = []
    for value, data in _pairs(mapping, find):
        box = () if chance else element(value, found)
        choices.append((box, *_target(data, by_address, to, port)))
    return Nat(kind, wanted, keys=found, choices=tuple(choices), random=chance)


def _target(
    data: Any, by_address: bool, to: Any, port: Any
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    if isinstance(data, dict) and "concat" in data:
        return _addresses(data["concat"][0]), _ports(data["concat"][1])
    if by_address:
        return _addresses(data), None if isinstance(port, dict) and "map" in port else _ports(port)
    return _addresses(to), _ports(data)


def _addresses(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, str):
        one = address(value)
        return one, one
    if isinstance(value, dict) and "range" in value:
        low, high = value["range"]
        return address(low), address(high)
    if isinstance(value, dict) and "prefix" in value:
        start = address(value["prefix"]["addr"])
        width = 128 if ":" in value["prefix"]["addr"] else 32
        return start, start | (1 << width - value["prefix"]["len"]) - 1
    raise Unreadable(f"the address {value}")


def _ports(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, dict) and "range" in value:
        low, high = value["range"]
        return number(low, _PORTS), number(high, _PORTS)
    one = number(value, _PORTS)
    return one, one
