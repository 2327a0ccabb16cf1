"""The symbolic evaluator's tests: what a rule asks of packets, as a set of them.

A field that a state knows is compared at once; one that is a variable becomes a set; one that lies somewhere between
two values is a question, unless all of it is inside or outside.  A missing field breaks the rule (`Missing`).
"""

from __future__ import annotations

from portside.guard.bdd import ALL, EMPTY
from portside.guard.fields import CT_STATES, FIELDS
from portside.guard.model import Unknown
from portside.guard.packet import because_rule
from portside.guard.space import Space, Var
from portside.guard.walk import Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.guard.environment import Environment
    from portside.guard.model import Box, Chain, Key, Match, Rule, Table
    from portside.guard.state import State, Value


class Matching:
    """The tests of rules for packets of one family, as sets in a space."""

    def __init__(self, space: Space, environment: Environment, family: str) -> None:
        self.space, self.environment, self.family = space, environment, family
        self.manager = space.manager

    def at_once(self, match: Match, state: State) -> bool | None:
        """Return the answer to a test over known fields alone, None where it takes a diagram."""
        values = []
        for key in match.keys:
            try:
                value = self.value(key, state)
            except Missing:
                return False
            if type(value) is Var or type(value) is tuple:
                return None
            values.append(value)
        if match.timed or match.open:
            return None
        return _inside(match.boxes, values) != match.negated

    def test(self, statement: Any, state: State, table: Table, chain: Chain, rule: Rule) -> int:
        """Return the set of packets that pass a test."""
        if type(statement) is Unknown:
            words = statement.what if statement.shared else str(because_rule(table, chain, rule))
            return self.space.question(words)
        try:
            values = tuple(self.value(key, state) for key in statement.keys)
        except Missing:
            return EMPTY
        key = (id(statement), repr(values))
        known = self.space.tests.get(key)
        if known is not None:
            return known[1]
        found = self.boxes(statement.keys, statement.boxes, values)
        if statement.timed or statement.open:
            asked = self.space.question(f"{statement.name} has it")
            timed = ALL if statement.open else self.boxes(statement.keys, statement.timed, values)
            found = self.manager.either(found, self.manager.both(timed, asked))
        if statement.negated:
            found = self.manager.less(ALL, found)
        self.space.tests[key] = statement, found
        return found

    def boxes(self, keys: tuple[Key, ...], boxes: tuple[Box, ...], values: tuple[Value, ...]) -> int:
        """Return where fields lie within boxes; one open field takes all boxes at once."""
        open_at = [at for at, value in enumerate(values) if type(value) is Var or type(value) is tuple]
        fitting = [
            box
            for box in boxes
            if all(at in open_at or _within(value, box[at]) for at, value in enumerate(values))
        ]
        if not open_at:
            return ALL if fitting else EMPTY
        if len(open_at) == 1:
            (at,) = open_at
            return self.spans(keys[at], values[at], [box[at] for box in fitting])
        groups: dict[tuple[Any, ...], list[Any]] = {}
        for box in fitting:  # boxes that share all but the first open field are one
            groups.setdefault(tuple(box[at] for at in open_at[1:]), []).append(box[open_at[0]])
        return self.manager.union(
            self._product(keys, values, open_at, rest, spans) for rest, spans in groups.items()
        )

    def _product(
        self,
        keys: tuple[Key, ...],
        values: tuple[Value, ...],
        open_at: list[int],
        rest: tuple[Any, ...],
        spans: list[Any],
    ) -> int:
        node = self.spans(keys[open_at[0]], values[open_at[0]], spans)
        for at, span in zip(open_at[1:], rest, strict=True):
            node = self.manager.both(node, self.spans(keys[at], values[at], [span]))
        return node

    def spans(self, key: Key, value: Value, spans: list[Any]) -> int:
        """Return where one field that is not known lies within spans."""
        if isinstance(value, tuple):
            low, high = value
            if any(one[0] <= low and high <= one[1] for one in spans):
                return ALL
            if all(one[1] < low or high < one[0] for one in spans):
                return EMPTY
            return self.space.question(f"one of {value} is in {spans[0]}")
        assert isinstance(value, Var)
        if key.field.startswith("fib"):
            return self._types(key, value, spans)
        if key.field == "reverse path":
            return self._back(value, spans)
        if key.shift:
            spans = [(low << key.shift, (high + 1 << key.shift) - 1) for low, high in spans]
        node = self.space.within(value.name, spans, key.mask)
        return self.manager.both(node, self.space.own) if value.name == "daddr" else node

    def _types(self, key: Key, value: Var, spans: list[Any]) -> int:
        side, _, device = value.name.partition(" of ")
        wanted = {number for low, high in spans for number in range(low, high + 1)}

        def fits(address: int) -> bool:
            return self.environment.address_type(self.family, address, device) in wanted

        return self.space.where(side, fits, ("type", device, tuple(sorted(wanted))))

    def _back(self, value: Var, spans: list[Any]) -> int:
        side, _, device = value.name.partition(" by ")
        back = self.space.where(
            side, lambda address: self.environment.back_by(self.family, address, device), ("back", device)
        )
        wanted = {number for low, high in spans for number in range(low, high + 1)}
        yes = back if 1 in wanted else EMPTY
        no = self.manager.less(ALL, back) if 0 in wanted else EMPTY
        return self.manager.either(yes, no)

    def value(self, key: Key, state: State) -> Value:
        """Return a field's value in a state, masked and shifted where it is known; raises Missing."""
        field = FIELDS[key.field]
        values = state.values
        if (field.family and field.family != self.family) or (
            field.protocols and values["l4proto"] not in field.protocols
        ):
            raise Missing
        base = field.base
        value = values[base] if base in values else self._computed(base, key, values)
        if isinstance(value, int):
            return (value & key.mask if key.mask else value) >> key.shift
        if isinstance(value, tuple) and (key.mask or key.shift):
            raise Missing
        return value

    def _computed(self, base: str, key: Key, values: dict[str, Value]) -> Value:
        if base in _FIXED:
            return _FIXED[base][self.family == "ip6"]
        if base.startswith("ct "):
            return _connection(base, values)
        if base.startswith("fib "):
            device = str(values["iifname"]) if base.endswith("iif") else ""
            address = values["saddr" if "saddr" in base else "daddr"]
            if isinstance(address, Var):
                return Var(f"{address.name} of {device}")
            return self.environment.address_type(self.family, _low(address), device)
        if base == "reverse path":
            address, device = values["saddr"], str(values["iifname"])
            if isinstance(address, Var):
                return Var(f"{address.name} by {device}")
            return int(self.environment.back_by(self.family, _low(address), device))
        if base in ("iifgroup", "oifgroup", "iifkind", "oifkind"):
            found = self.environment.device(str(values[base[:3] + "name"]))
            if found is None or (base[3:] == "kind" and not found.kind):
                raise Missing
            return found.group if base[3:] == "group" else found.kind
        if base == "pkttype":
            return 0
        if base == "frag-off":
            return 0x4000 if key.mask & 0x4000 or not key.mask else 0
        raise Missing


_FIXED = {
    "nfproto": (2, 10),
    "ethertype": (0x800, 0x86DD),
    "version": (4, 6),
    "hdrlength": (5, 5),
    "ecn": (0, 0),
}


def _connection(base: str, values: dict[str, Value]) -> Value:
    """Return a field of the connection that a state's packets belong to."""
    if base == "ct state":
        if values["_untracked"]:
            return CT_STATES["untracked"]
        return CT_STATES[str(values["_state"])] if values["_met"] else CT_STATES["invalid"]
    if not values["_met"] or values["_untracked"] or values["_state"] == "invalid":
        raise Missing
    if base == "ct status":
        return values["_status"]
    if base in ("ct saddr", "ct daddr", "ct sport", "ct dport"):
        return values[f"_of {base[3:]}"]
    if base == "ct direction":
        return values["_reply"]
    return values["_mark"] if base == "ct mark" else 0


def _low(value: Value) -> int:
    return value[0] if isinstance(value, tuple) else int(value)  # type: ignore[arg-type]


def _inside(boxes: tuple[Box, ...], values: list[Value]) -> bool:
    return any(all(map(_within, values, box)) for box in boxes)


def _within(value: Value, span: tuple[int, int] | str) -> bool:
    if isinstance(span, str):
        return str(value).startswith(span[:-1]) if span.endswith("*") else value == span
    return span[0] <= value <= span[1]  # type: ignore[operator]
