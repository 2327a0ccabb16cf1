"""The symbolic evaluator's other half: what the actions of one rule do to one set of packets.

Verdicts, verdict maps, translations, marks: each sends parts of the set where it says (`accepted`, `returned`, the
engine's stops) and leaves the rest to `going`, which meets the next rule.
"""

from __future__ import annotations

from portside.guard.bdd import ALL, EMPTY
from portside.guard.fields import CT_STATUS
from portside.guard.model import Assign, Match, Nat, Notrack, Unknown, Verdict, VerdictMap
from portside.guard.packet import because_rule, refused
from portside.guard.space import Var
from portside.guard.walk import Missing, first_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.guard.model import Chain, Rule, Table
    from portside.guard.packet import Because
    from portside.guard.state import State, Value
    from portside.guard.symbolic import Engine

_DEEPEST = 64


class Acting:
    """One rule at work on one set: the actions behind its tests."""

    def __init__(
        self,
        engine: Engine,
        table: Table,
        chain: Chain,
        rule: Rule,
        depth: int,
        accepted: list[tuple[State, int]],
        returned: list[tuple[State, int]],
        going: list[tuple[State, int]],
    ) -> None:
        self.engine, self.manager = engine, engine.manager
        self.table, self.chain, self.rule, self.depth = table, chain, rule, depth
        self.accepted, self.returned, self.going = accepted, returned, going

    @property
    def because(self) -> Because:
        """The words for this rule."""
        return because_rule(self.table, self.chain, self.rule)

    def statements(self, statements: list[Any], state: State, node: int) -> None:
        """Run statements, from the rule's first action on, over a set."""
        for at, statement in enumerate(statements):
            match statement:
                case Match() | Unknown(effect=False):
                    passed = self.manager.both(
                        node, self.engine.matching.test(statement, state, self.table, self.chain, self.rule)
                    )
                    self.going.append((state, self.manager.less(node, passed)))
                    node = passed
                case Unknown():
                    node = self._unknown(statement, state, node)
                case Verdict():
                    self.obey(statement, state, node)
                    return
                case VerdictMap():
                    self._look_up(statement, state, node)
                    return
                case Nat():
                    node = self._translate(statement, state, node)
                case Assign():
                    self._assign(statement, statements[at + 1 :], state, node)
                    return
                case Notrack() if not state.values["_met"]:
                    state = state.set({"_untracked": 1})
            if node == EMPTY:
                return
        self.going.append((state, node))

    def _unknown(self, statement: Unknown, state: State, node: int) -> int:
        words = statement.what if statement.shared else str(self.because)
        ends = self.manager.both(node, self.engine.space.question(f"{words}: ends here"))
        lets = self.engine.space.question(f"{words}: lets it pass")
        self.obey(Verdict("accept"), state, self.manager.both(ends, lets))
        self.obey(Verdict("drop"), state, self.manager.less(ends, lets))
        return self.manager.less(node, ends)

    def obey(self, verdict: Verdict, state: State, node: int) -> None:
        """Send a set where a verdict says."""
        if node == EMPTY:
            return
        kind = verdict.kind
        if kind in ("jump", "goto"):
            self._jump(verdict, state, node)
        elif kind == "return":
            self.returned.append((state, node))
        elif kind == "continue":
            self.going.append((state, node))
        elif kind == "queue":
            lets = self.engine.space.question(f"{self.because}: a program decides")
            self.obey(Verdict("accept"), state, self.manager.both(node, lets))
            self.obey(Verdict("drop"), state, self.manager.less(node, lets))
        elif kind == "accept":
            self.accepted.append((state, node))
            self.engine.passes.append((node, self.because))
        else:
            client = refused(verdict.detail) if kind == "reject" else "silence"
            self.engine.stop(node, self.because, client)

    def _jump(self, verdict: Verdict, state: State, node: int) -> None:
        target = self.table.chain(verdict.target)
        if target is None or self.depth > _DEEPEST:
            lets = self.engine.space.question(f"{self.because}: lets it pass")
            self.obey(Verdict("accept"), state, self.manager.both(node, lets))
            self.obey(Verdict("drop"), state, self.manager.less(node, lets))
            return
        fell, accepted = self.engine.chain(self.table, target, {state: node}, self.depth + 1)
        self.accepted += accepted
        (self.going if verdict.kind == "jump" else self.returned).extend(fell.items())

    def _by_chance(self, lookup: VerdictMap, state: State, node: int) -> None:
        for number, (_, verdict) in enumerate(lookup.entries):
            part = node
            if number < len(lookup.entries) - 1:
                asked = self.engine.space.question(f"{self.because}: {lookup.random} picks {number}")
                part = self.manager.both(node, asked)
            self.obey(verdict, state, part)
            node = self.manager.less(node, part)

    def _look_up(self, lookup: VerdictMap, state: State, node: int) -> None:
        if lookup.random:
            self._by_chance(lookup, state, node)
            return
        try:
            values = tuple(self.engine.matching.value(key, state) for key in lookup.keys)
        except Missing:
            self.going.append((state, node))
            return
        for box, verdict in lookup.entries:
            inside = self.manager.both(node, self.engine.matching.boxes(lookup.keys, (box,), values))
            if inside != EMPTY:
                self.obey(verdict, state, inside)
                node = self.manager.less(node, inside)
                if node == EMPTY:
                    return
        if lookup.open:
            has = self.manager.both(node, self.engine.space.question(f"{lookup.name} has it"))
            lets = self.engine.space.question(f"{lookup.name} lets it pass")
            self.obey(Verdict("accept"), state, self.manager.both(has, lets))
            self.obey(Verdict("drop"), state, self.manager.less(has, lets))
            node = self.manager.less(node, has)
        if lookup.default is not None:
            self.obey(lookup.default, state, node)
        else:
            self.going.append((state, node))

    def _translate(self, nat: Nat, state: State, node: int) -> int:
        """Translate a set; return what the rule did not translate and goes on with its next statement."""
        if nat.family and nat.family != self.engine.family:
            return node
        if nat.random:
            for number, (_, addresses, ports) in enumerate(nat.choices):
                part = node
                if number < len(nat.choices) - 1:
                    asked = self.engine.space.question(f"{self.because}: {nat.random} picks {number}")
                    part = self.manager.both(node, asked)
                self._to(nat, addresses, ports, state, part)
                node = self.manager.less(node, part)
            return node
        if not nat.choices:
            self._to(nat, nat.address, nat.port, state, node)
            return EMPTY
        try:
            values = tuple(self.engine.matching.value(key, state) for key in nat.keys)
        except Missing:
            self.going.append((state, node))
            return EMPTY
        for box, addresses, ports in nat.choices:
            part = self.manager.both(node, self.engine.matching.boxes(nat.keys, (box,), values))
            self._to(nat, addresses, ports, state, part)
            node = self.manager.less(node, part)
        self.going.append((state, node))  # nothing found: the rule is broken off
        return EMPTY

    def _to(
        self,
        nat: Nat,
        addresses: tuple[int, int] | None,
        ports: tuple[int, int] | None,
        state: State,
        node: int,
    ) -> None:
        if node == EMPTY:
            return
        manip = self.engine.manip()
        side = "d" if manip == "dst" else "s"
        values = state.values
        if nat.kind == "redirect":
            own = 127 << 24 | 1 if self.engine.family == "ip" else 1
            found: int | None = own
            if self.engine.at_hook != "output":
                target = values["daddr"]
                found = first_address(
                    self.engine.environment,
                    self.engine.family,
                    str(values["iifname"]),
                    0 if isinstance(target, Var) else target,
                )
            if found is None:
                self.going.append((state, node))
                return
            addresses = (found, found)
        elif nat.kind == "masquerade":
            found = first_address(self.engine.environment, self.engine.family, str(values["oifname"]), 0)
            addresses = None if found is None else (found, found)
        self._bind(manip, side, addresses, ports, state, node)

    def _bind(
        self,
        manip: str,
        side: str,
        addresses: tuple[int, int] | None,
        ports: tuple[int, int] | None,
        state: State,
        node: int,
    ) -> None:
        values = state.values
        changes: dict[str, Value] = {f"_bound {manip}": 1, f"_by {manip}": str(self.because)}
        if addresses is not None:
            changes[f"{side}addr"] = addresses[0] if addresses[0] == addresses[1] else addresses
        parts = [(node, changes)]
        if ports is not None:
            parts = [
                (self.manager.both(node, where), changes | {f"{side}port": port})
                for where, port in self._ports(values[f"{side}port"], side, ports)
            ]
        for part, new in parts:
            moved = any(
                new.get(name, values[name]) != values[name] for name in (f"{side}addr", f"{side}port")
            )
            bit = CT_STATUS["dnat" if side == "d" else "snat"] if moved else 0
            kept = {f"_to {name}": value for name, value in new.items() if not name.startswith("_")}
            status = values["_status"]
            assert isinstance(status, int)
            self.accepted.append((state.set(new | kept | {"_status": status | bit}), part))
            self.engine.passes.append((part, self.because))

    def _ports(self, now: Value, side: str, ports: tuple[int, int]) -> list[tuple[int, Value]]:
        """Return (set, port) after a translation to ports: one in the range is kept (nf_nat_core.c)."""
        low, high = ports
        if low == high:
            return [(ALL, low)]
        if isinstance(now, int):
            return [(ALL, now if low <= now <= high else ports)]
        inside = self.engine.space.within(f"{side}port", [ports]) if isinstance(now, Var) else EMPTY
        return [(inside, now), (self.manager.less(ALL, inside), ports)]

    def _assign(self, assign: Assign, rest: list[Any], state: State, node: int) -> None:
        """Set a mark, and run the rest of the rule in the new states."""
        values = state.values
        tracked = values["_met"] and not values["_untracked"]
        if assign.unknown:
            self._mark(assign, (0, 0xFFFFFFFF), rest, state, node)
            return
        if assign.choices:
            try:
                found = tuple(self.engine.matching.value(key, state) for key in assign.keys)
            except Missing:
                self.going.append((state, node))
                return
            for box, value in assign.choices:
                part = self.manager.both(node, self.engine.matching.boxes(assign.keys, (box,), found))
                self._mark(assign, value, rest, state, part)
                node = self.manager.less(node, part)
            self.going.append((state, node))
            return
        if (assign.source == "ct mark" or assign.field == "ct mark") and not tracked:
            self.going.append((state, node))
            return
        source = values["mark"] if assign.source == "mark" else values["_mark"] if assign.source else 0
        mark = (source & assign.mask) ^ assign.flip if isinstance(source, int) else source
        self._mark(assign, mark, rest, state, node)

    def _mark(self, assign: Assign, value: Value, rest: list[Any], state: State, node: int) -> None:
        if node != EMPTY:
            name = "mark" if assign.field == "mark" else "_mark"
            if name == "mark" or (state.values["_met"] and not state.values["_untracked"]):
                state = state.set({name: value})
            self.statements(rest, state, node)
