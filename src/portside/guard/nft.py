"""A ruleset from `nft -j list ruleset`.

Rules are turned statement by statement; what is not understood becomes an open question in the rule's own place
(`model.Unknown`), so that no rule gets wider or narrower.  A rule that holds an `xt` (a match or target of iptables,
of which the JSON tells the name alone) is taken from `replacements` instead: what iptables-save says at the same
place of the same chain.  Reference: libnftables-json(5).
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.guard.actions import RANDOM, action
from portside.guard.fields import FIELDS
from portside.guard.model import Chain, Key, Match, Note, Rule, Ruleset, Table, Unknown, Verdict, VerdictMap
from portside.guard.nfttext import rule_text
from portside.guard.nftvalues import Unreadable, boxes, element, is_flags, keys, number
from portside.guard.sets import NamedSet, Sets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    class Rules(Protocol):
        """The rules of one chain, by place: a tuple, or `iptables.SavedRules`."""

        def __len__(self) -> int: ...

        def __getitem__(self, place: int, /) -> Rule: ...

    Replacements = Mapping[tuple[str, str, str], Rules]

PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
_NOTES = {"counter", "log", "comment", "ct helper", "ct timeout", "ct expectation", "secmark", "dup", "last"}


def from_json(text: str, replacements: Replacements | None = None) -> Ruleset:
    """Return the ruleset of a listing; raises BadReply where it is none.

    `replacements` has (family, table, chain) -> the rules of that chain as iptables-save tells them.
    """
    import json

    try:
        objects = json.loads(text)["nftables"]
        return Reader(objects, replacements or {}).ruleset()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"it is no listing of nft -j ({type(error).__name__}: {error})"
        raise BadReply("read", "ruleset", reason) from error


class Reader:
    """One listing, object by object."""

    def __init__(self, objects: list[dict[str, Any]], replacements: Replacements) -> None:
        self.replacements = replacements
        self.tables: dict[tuple[str, str], Table] = {}
        self.chains: dict[tuple[str, str, str], Chain] = {}
        self.rules: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        self.sets = Sets()
        for one in objects:
            for kind, body in one.items():
                self._object(kind, body)
        self.sets.find_writers(body["expr"] for rules in self.rules.values() for body in rules)

    def _object(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "table":
            flags = body.get("flags", ())
            flags = (flags,) if isinstance(flags, str) else tuple(flags)
            key = body["family"], body["name"]
            self.tables[key] = Table(*key, handle=body.get("handle", 0), flags=flags)
        elif kind == "chain":
            self.chains[_place(body, "name")] = _chain(body)
        elif kind == "rule":
            self.rules.setdefault(_place(body, "chain"), []).append(body)
        elif kind in ("set", "map"):
            self.sets.add(body)

    def ruleset(self) -> Ruleset:
        """Return everything read."""
        made: dict[tuple[str, str], list[Chain]] = {key: [] for key in self.tables}
        foreign = set()
        for place, chain in self.chains.items():
            bodies = self.rules.get(place, [])
            instead = self.replacements.get(place)
            made[place[:2]].append(chain.replace(rules=tuple(self._rules(place[0], bodies, instead))))
            if any("xt" in expr for body in bodies for expr in body["expr"] if isinstance(expr, dict)):
                foreign.add(place[:2])
        return Ruleset(
            tuple(
                table.replace(chains=tuple(made[key]), origin="iptables" if key in foreign else "nft")
                for key, table in self.tables.items()
                if "dormant" not in table.flags
            )
        )

    def _rules(self, family: str, bodies: list[dict[str, Any]], instead: Rules | None) -> list[Rule]:
        matching = instead if instead is not None and len(instead) == len(bodies) else None
        made = []
        for place, body in enumerate(bodies):
            if _foreign(body) and matching is not None:
                made.append(matching[place].replace(handle=body.get("handle", 0)))
            else:
                made.append(self.rule(family, body, place + 1))
        return made

    def rule(self, family: str, body: dict[str, Any], place: int) -> Rule:
        """Return one rule, that of a place in its chain."""
        statements: list[Any] = []
        packets, octets = None, None
        for expr in body["expr"]:
            if isinstance(expr, dict) and isinstance(expr.get("counter"), dict):
                packets, octets = expr["counter"].get("packets"), expr["counter"].get("bytes")
            statements += self.statement(family, body["table"], expr)
        return Rule(
            tuple(statements),
            rule_text(body["expr"]),
            body.get("handle", 0),
            body.get("comment", ""),
            packets,
            octets,
            place,
        )

    def statement(self, family: str, table: str, expr: Any) -> list[Any]:
        """Return the statements of one expression of a rule: one, or none and a note."""
        if not isinstance(expr, dict):  # an anonymous chain is printed as text (no JSON for it in 1.1.4)
            return [Unknown("an anonymous chain", "unreadable", effect=True)]
        ((kind, what),) = expr.items()
        if kind in _NOTES:
            return [Note(kind)]
        try:
            if kind == "match":
                made = self.match(family, table, what)
                asks_tcp = isinstance(what["left"], dict) and "tcp option" in what["left"]
                return [Match((Key("l4proto"),), (((6, 6),),)), made] if asks_tcp else [made]
            if kind == "vmap":
                return [self.verdict_map(family, table, what)]
            return action(kind, what, family, self.sets.finder(family, table))
        except Unreadable as unread:
            if unread.kind is None:
                return [Match((Key("nfproto"),), ())]
            return [Unknown(unread.what, unread.kind, unread.shared, kind not in ("match",))]

    def match(self, family: str, table: str, what: dict[str, Any]) -> Match | Unknown:
        """Return the test of one match."""
        op, left, right = what["op"], what["left"], what["right"]
        try:
            found = keys(left, family)
        except Unreadable as unread:
            if unread.kind is None:  # a header that no such packet has: `exists` fails, `missing` passes
                absent = (right is False and op == "==") or (right is True and op == "!=")
                return Match((), ((),) if absent else ())
            words = rule_text([{"match": what}])
            return Unknown(words, unread.kind, unread.shared)
        named = self.sets.named(family, table, right)
        if named is not None:
            return _in_set(found, named, op)
        if len(found) == 1:
            return _single(found[0], op, right)
        return Match(found, boxes(right, found), op == "!=")

    def verdict_map(self, family: str, table: str, what: dict[str, Any]) -> VerdictMap:
        """Return a verdict map, of a named map or of its own braces."""
        named = self.sets.named(family, table, what["data"])
        pairs = named.elements if named is not None else what["data"]["set"]
        chance = next((word for word in RANDOM if word in what["key"]), "")
        if chance:
            return _by_chance(chance, what["key"][chance], pairs)
        found = keys(what["key"], family)
        entries, default = [], None
        for value, verdict in pairs:
            made = _verdict(verdict)
            if value == "*":
                default = made
            else:
                entries.append((element(value, found), made))
        return VerdictMap(
            found,
            tuple(entries),
            default,
            named.name if named is not None else "",
            named.open if named is not None else "",
        )


def _by_chance(kind: str, what: Any, pairs: list[Any]) -> VerdictMap:
    """Return the map of a number by chance: each verdict, and going on where some number has none."""
    numbers = {one for value, _ in pairs for one in (value if isinstance(value, list) else [value])}
    verdicts = [_verdict(verdict) for _, verdict in pairs]
    if len(numbers) < what.get("mod", 0) or any(not isinstance(one, int) for one in numbers):
        verdicts.append(Verdict("continue"))
    return VerdictMap((), tuple(((), verdict) for verdict in verdicts), random=kind)


def _place(body: dict[str, Any], chain: str) -> tuple[str, str, str]:
    return body["family"], body["table"], body[chain]


def _foreign(body: dict[str, Any]) -> bool:
    return any(isinstance(expr, dict) and "xt" in expr for expr in body["expr"])


def _chain(body: dict[str, Any]) -> Chain:
    priority = body.get("prio", 0)
    if isinstance(priority, str):
        priority = PRIORITIES.get(priority, 0)
    devices = body.get("dev", ())
    return Chain(
        body["name"],
        (),
        body.get("hook", ""),
        priority,
        body.get("type", ""),
        body.get("policy", "accept"),
        (devices,) if isinstance(devices, str) else tuple(devices),
        body.get("handle", 0),
    )


def _in_set(found: tuple[Key, ...], named: NamedSet, op: str) -> Match:
    steady, timed = named.boxes(found)
    return Match(found, steady, op == "!=", f"@{named.name}", timed, named.open)


def _single(key: Key, op: str, right: Any) -> Match:
    """Return the test of one field against one value, a list of flags, a brace set, or an order."""
    field = FIELDS[key.field]
    top = (1 << field.width) - 1
    if key.field == "reverse path":
        here = right not in (False, "0", 0)
        return Match((key,), (((1, 1),) if here == (op != "!=") else ((0, 0),),))
    if op in ("<", "<=", ">", ">="):
        bound = number(right, field)
        low, high = {
            "<": (0, bound - 1),
            "<=": (0, bound),
            ">": (bound + 1, top),
            ">=": (bound, top),
        }[op]
        return Match((key,), (((low, high),),) if low <= high else ())
    if op == "in" or (op == "!" and is_flags(key.field)):  # bits: any of them, or none
        bits = number(right, field)
        return Match((Key(key.field, bits & (key.mask or top)),), (((1, top),),), op == "!")
    if op not in ("==", "!="):
        raise Unreadable(f"the operator {op}")
    if isinstance(right, dict) and "&" in right:
        raise Unreadable("a computed value")
    if key.field.startswith("ct original ip") and isinstance(right, str):
        value = number(
            right, field
        )  # nft up to 1.1 lists a prefix there shifted down to the end of the address
        if 1 < value < 1 << field.width - 8:
            raise Unreadable(f"{key.field} {right}")
    return Match((key,), boxes(right, (key,)), op == "!=")


def _verdict(what: dict[str, Any]) -> Verdict:
    ((kind, body),) = what.items()
    return Verdict(kind, body["target"] if kind in ("jump", "goto") else "")
