"""One packet through the base chains of a hook: the plain evaluator's interpreter of rules.

Semantics that are easy to get wrong, and are right here: accept ends its base chain alone, drop everything; a field
that is not there breaks the rule even where the test is negated; goto comes back to where the last jump came from;
`ct` is not there before -200; only the first packet of a connection meets nat chains, and the first translation ends
them.  Reference: nf_tables_core.c, nft_meta.c, nft_ct.c, nf_nat_core.c.
"""

from __future__ import annotations

from portside.guard import path
from portside.guard.effects import inert, order_matters
from portside.guard.fields import CT_STATES, CT_STATUS, FIELDS
from portside.guard.model import Assign, Match, Nat, Notrack, Unknown, Verdict, VerdictMap
from portside.guard.packet import Because, Step, because_policy, because_rule, refused
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.guard.environment import Environment
    from portside.guard.model import Box, Chain, Key, Rule, Ruleset, Table

    Value = int | str | tuple[int, int]  # a tuple: somewhere from .. to
    Ask = Callable[[str], bool]


class Final(Record):
    """The end of a packet's way before its goal: what stopped it, and what the sender sees."""

    because: Because
    client: str = "silence"


class Missing(Exception):
    """A field that this packet has not: the rule is broken off."""


class Walk:
    """A packet on its way, with the connection it belongs to."""

    def __init__(
        self,
        ruleset: Ruleset,
        environment: Environment,
        family: str,
        values: dict[str, Value],
        state: str,
        ask: Ask,
        trace: list[Step],
    ) -> None:
        self.ruleset, self.environment, self.family = ruleset, environment, family
        self.values, self.state, self.ask, self.trace = values, state, ask, trace
        self.original = dict(values)  # the connection's original direction
        self.direction = 0
        self.met_conntrack = self.untracked = self.looped = False
        self.status = 0
        self.ct_mark = 0
        self.bound: dict[str, dict[str, Value]] = {}  # dst, src -> what the translation set
        self.undo: dict[str, dict[str, Value]] = {}  # for answers: what each point puts back
        self.let_in = Because(rule="no rule")
        self._hook = ""

    @property
    def tracked(self) -> bool:
        """Whether connection tracking knows the packet."""
        return self.met_conntrack and not self.untracked

    def answer(self) -> Walk:
        """Return the walk of the answer to this packet, when it has arrived."""
        here, there = self.values, self.original
        values = here | {
            "saddr": here["daddr"], "sport": here["dport"], "daddr": here["saddr"], "dport": here["sport"],
            "mark": 0, "tcp flags": 18, "ttl": 64, "dscp": 0,
        }  # fmt: skip
        state = "established" if self.tracked else "invalid" if here["l4proto"] == 6 else "new"
        walk = Walk(self.ruleset, self.environment, self.family, values, state, self.ask, self.trace)
        if self.tracked:
            walk.original, walk.direction = there, 1
            walk.status, walk.ct_mark = self.status | CT_STATUS["seen-reply"], self.ct_mark
            walk.undo = {
                "dst": {"daddr": there["saddr"], "dport": there["sport"]},
                "src": {"saddr": there["daddr"], "sport": there["dport"]},
            }
        return walk

    def bind(self, first: Walk) -> None:
        """Make this walk one of the same connection as its first packet's."""
        if first.tracked:
            self.bound, self.ct_mark = first.bound, first.ct_mark
            self.status = first.status | CT_STATUS["seen-reply"]

    def hook(self, hook: str, device: str = "") -> Final | None:
        """Pass the base chains of a hook; return what stopped the packet, None where it goes on."""
        self._hook = hook
        translated = False
        chains = path.base_chains(self.ruleset, self.family, hook, device)
        for table, chain in self._ordered(chains):
            priority = path.effective_priority(chain)
            if priority > path.CONNTRACK:
                self._track()
            if hook in path.NAT and priority > path.NAT[hook] and not translated:
                translated = True
                self._replay()
            if chain.type == "nat" and not self._meets_nat():
                continue
            stop = self._base(table, chain)
            if stop:
                return stop
        self._track()
        if hook in path.NAT and not translated:
            self._replay()
        return None

    def _ordered(self, chains: list[path.Place]) -> list[path.Place]:
        chains = list(chains)
        for one, other in path.ties(chains):
            if order_matters(one, other):
                question = f"order of {one[0]} {one[1].name}, {other[0]} {other[1].name}"
                if not self.ask(question):
                    at = chains.index(one)
                    chains[at : at + 2] = [other, one]
        return chains

    def _track(self) -> None:
        if self._hook in ("prerouting", "output") and not self.untracked:
            self.met_conntrack = True

    def _meets_nat(self) -> bool:
        manip = self._manip()
        return self.tracked and self.state == "new" and manip not in self.bound and not self.looped

    def _manip(self) -> str:
        return "dst" if self._hook in ("prerouting", "output") else "src"

    def _replay(self) -> None:
        """Translate a packet of a known connection as its first one was, an answer back."""
        if self.tracked and not (self.looped and self._hook == "prerouting"):
            self.values |= self.undo.get(self._manip(), {})
            if self.state != "new":
                self.values |= self.bound.get(self._manip(), {})

    def _base(self, table: Table, chain: Chain) -> Final | None:
        end = self._chain(table, chain, 0)
        if isinstance(end, Final):
            return end
        if end is None:
            if chain.policy == "drop":
                return self._stop(because_policy(table, chain), "policy drop")
            if self._hook in ("input", "forward"):
                self.let_in = because_policy(table, chain)
        return None

    def _stop(self, because: Because, does: str, client: str = "silence") -> Final:
        self.trace.append(Step(self._hook, because, does))
        return Final(because, client)

    def _chain(self, table: Table, chain: Chain, depth: int) -> Final | str | None:
        """Go through a chain's rules; return Final, `accept`, or None where it falls out of the end."""
        for rule in chain.rules:
            if inert(rule):
                continue
            try:
                verdict = self._rule(table, chain, rule)
            except Missing:
                continue
            if verdict is None or verdict.kind == "continue":
                continue
            end, comes_back = self._obey(table, chain, rule, verdict, depth)
            if not comes_back:
                return end
        return None

    def _obey(
        self, table: Table, chain: Chain, rule: Rule, verdict: Verdict, depth: int
    ) -> tuple[Final | str | None, bool]:
        """Return (the end, whether the next rule follows) of a verdict."""
        because = because_rule(table, chain, rule)
        kind = verdict.kind
        if kind in ("jump", "goto"):
            self.trace.append(Step(self._hook, because, f"{kind} {verdict.target}"))
            target = table.chain(verdict.target)
            if target is None or depth > 64:
                return self._open_end(because), False
            end = self._chain(table, target, depth + 1)
            return end, end is None and kind == "jump"
        if kind == "return":
            self.trace.append(Step(self._hook, because, kind))
            return None, False
        if kind == "queue" and self.ask(f"{because}: a program decides"):
            kind = "accept"
        if kind == "accept":
            self.trace.append(Step(self._hook, because, verdict.kind))
            if self._hook in ("input", "forward"):
                self.let_in = because
            return "accept", False
        client = refused(verdict.detail) if kind == "reject" else "silence"
        return self._stop(because, verdict.kind, client), False

    def _open_end(self, because: Because) -> Final | str:
        if self.ask(f"{because}: lets it pass"):
            return "accept"
        return self._stop(because, "unknown")

    def _rule(self, table: Table, chain: Chain, rule: Rule) -> Verdict | None:
        """Run one rule's statements; return its verdict, None where a test failed or there is none."""
        where = str(because_rule(table, chain, rule))
        for statement in rule.statements:
            match statement:
                case Match():
                    if not self.test(statement):
                        return None
                case Unknown(what, _, shared, effect):
                    question = what if shared else where
                    if effect and self.ask(f"{question}: ends here"):
                        return Verdict("accept" if self.ask(f"{question}: lets it pass") else "drop")
                    if not effect and not self.ask(question):
                        return None
                case Verdict():
                    return statement
                case VerdictMap():
                    return self._look_up(statement, where)
                case Nat():
                    if self._translate(statement, where):
                        return Verdict("accept")
                case Assign():
                    self._assign(statement, where)
                case Notrack():
                    self.untracked = self.untracked or not self.met_conntrack
        return None

    def test(self, test: Match) -> bool:
        """Return whether the packet passes a test."""
        values = [self._value(key) for key in test.keys]
        inside = self._inside(test.boxes, values)
        if not inside and (test.timed or test.open):
            named = f"{test.name} has it"
            timed = self._inside(test.timed, values)
            inside = (timed or bool(test.open)) and self.ask(named)
        return inside != test.negated

    def _look_up(self, lookup: VerdictMap, where: str) -> Verdict | None:
        if lookup.random:
            return lookup.entries[self._pick(where, lookup.random, len(lookup.entries))][1]
        values = [self._value(key) for key in lookup.keys]
        for box, verdict in lookup.entries:
            if self._inside((box,), values):
                return verdict
        if lookup.open and self.ask(f"{lookup.name} has it"):
            return Verdict("accept" if self.ask(f"{lookup.name} lets it pass") else "drop")
        return lookup.default

    def _pick(self, where: str, chance: str, count: int) -> int:
        """Return which of several is taken by chance."""
        return next((n for n in range(count - 1) if self.ask(f"{where}: {chance} picks {n}")), count - 1)

    def _inside(self, boxes: tuple[Box, ...], values: list[Value]) -> bool:
        return any(
            all(self._within(value, span) for value, span in zip(values, box, strict=True)) for box in boxes
        )

    def _within(self, value: Value, span: tuple[int, int] | str) -> bool:
        if isinstance(span, str):
            return str(value).startswith(span[:-1]) if span.endswith("*") else value == span
        low, high = span
        if isinstance(value, tuple):
            if value[1] < low or value[0] > high:
                return False
            return (low <= value[0] and value[1] <= high) or self.ask(f"one of {value} is in {span}")
        return low <= int(value) <= high

    def _value(self, key: Key) -> Value:
        field = FIELDS[key.field]
        if (field.family and field.family != self.family) or (
            field.protocols and self.values["l4proto"] not in field.protocols
        ):
            raise Missing
        value = self._base_value(field.base, key)
        if isinstance(value, int):
            value = (value & key.mask if key.mask else value) >> key.shift
        elif isinstance(value, tuple) and (key.mask or key.shift):
            raise Missing
        return value

    def _base_value(self, base: str, key: Key) -> Value:
        if base in self.values:
            return self.values[base]
        reader = _COMPUTED.get(base)
        if reader is not None:
            return reader(self)
        if base.startswith("ct "):
            return self._ct(base)
        if (
            base == "frag-off"
        ):  # a new connection starts with a whole packet; don't-fragment may be set or not
            return 0x4000 if key.mask & 0x4000 or not key.mask else 0
        raise Missing

    def _ct(self, base: str) -> Value:
        if base == "ct state":
            if self.untracked:
                return CT_STATES["untracked"]
            return CT_STATES[self.state] if self.met_conntrack else CT_STATES["invalid"]
        if not self.tracked or self.state == "invalid":
            raise Missing
        if base in ("ct saddr", "ct daddr", "ct sport", "ct dport"):
            return self.original[base[3:]]
        known = {
            "ct status": self.status,
            "ct direction": self.direction,
            "ct mark": self.ct_mark,
            "ct zone": 0,
        }
        return known[base]

    def _translate(self, nat: Nat, where: str) -> bool:
        """Translate by a rule; return whether it did."""
        if nat.family and nat.family != self.family:
            return False
        addresses, ports = nat.address, nat.port
        if nat.random:
            _, addresses, ports = nat.choices[self._pick(where, nat.random, len(nat.choices))]
        elif nat.choices:
            values = [self._value(key) for key in nat.keys]
            found = next((one for one in nat.choices if self._inside((one[0],), values)), None)
            if found is None:
                raise Missing
            _, addresses, ports = found
        side = "d" if self._manip() == "dst" else "s"
        changes: dict[str, Value] = {}
        if nat.kind == "redirect":
            addresses = self._redirect_address()
        elif nat.kind == "masquerade":
            addresses = self._masquerade_address()
        if addresses is not None:
            changes[f"{side}addr"] = addresses[0] if addresses[0] == addresses[1] else addresses
        if ports is not None:
            changes[f"{side}port"] = _port(self.values[f"{side}port"], ports)
        if any(self.values[name] != value for name, value in changes.items()):
            self.status |= CT_STATUS["dnat" if side == "d" else "snat"]
        self.values |= changes
        self.bound[self._manip()] = changes
        return True

    def _redirect_address(self) -> tuple[int, int]:
        """Where redirect sends to: loopback for what starts here, else the interface's first address."""
        if self._hook == "output":
            value = 127 << 24 | 1 if self.family == "ip" else 1
            return value, value
        own = first_address(self.environment, self.family, str(self.values["iifname"]), self.values["daddr"])
        if own is None:
            raise Missing
        return own, own

    def _masquerade_address(self) -> tuple[int, int] | None:
        own = first_address(self.environment, self.family, str(self.values["oifname"]), self.values["daddr"])
        return None if own is None else (own, own)

    def _assign(self, assign: Assign, where: str) -> None:
        """Set a mark; one that cannot be told becomes a value that is anywhere."""
        sources: dict[str, Value] = {"mark": self.values["mark"], "ct mark": self.ct_mark, "": 0}
        value: Any
        if assign.unknown:
            value = (0, 0xFFFFFFFF)
        elif assign.choices:
            values = [self._value(key) for key in assign.keys]
            value = next((data for box, data in assign.choices if self._inside((box,), values)), None)
            if value is None:
                raise Missing
        else:
            if (assign.source == "ct mark" or assign.field == "ct mark") and not self.tracked:
                raise Missing
            source = sources[assign.source]
            value = (int(source) & assign.mask) ^ assign.flip if isinstance(source, int) else source
        if assign.field == "mark":
            self.values["mark"] = value
        elif self.tracked:
            self.ct_mark = value


def _port(now: Value, ports: tuple[int, int]) -> Value:
    """A port in the range is kept, else one of the range is taken (nf_nat_l4proto_unique_tuple)."""
    low, high = ports
    if low == high:
        return low
    return now if isinstance(now, int) and low <= now <= high else ports


def first_address(environment: Environment, family: str, device: str, target: Value) -> int | None:
    """Return the first address of an interface, for IPv6 of the target's scope (nf_nat_redirect.c)."""
    found = environment.device(device)
    for address in found.addresses if found else ():
        if address.family != family:
            continue
        if family == "ip6" and isinstance(target, int) and _link_local(address.value) != _link_local(target):
            continue
        return address.value
    return None


def _link_local(address: int) -> bool:
    return address >> 118 == 0x3FA  # fe80::/10


def _type(side: str, by_device: bool = False) -> Callable[[Walk], Value]:
    def read(walk: Walk) -> Value:
        value = walk.values[f"{side}addr"]
        device = str(walk.values["iifname"]) if by_device else ""
        if isinstance(value, tuple):
            value = value[0]
        return walk.environment.address_type(walk.family, int(value), device)

    return read


def _of_device(which: str, what: str) -> Callable[[Walk], Value]:
    def read(walk: Walk) -> Value:
        device = walk.environment.device(str(walk.values[which]))
        value = getattr(device, what) if device is not None else ""
        if value == "":
            raise Missing
        return value

    return read


def _packet_type(walk: Walk) -> Value:
    kind = walk.environment.address_type(walk.family, int(_low(walk.values["daddr"])))
    return {3: 1, 5: 2}.get(kind, 0) if walk.values["iifname"] else 0


def _low(value: Value) -> int:
    return value[0] if isinstance(value, tuple) else int(value)


_COMPUTED: dict[str, Callable[[Walk], Value]] = {
    "nfproto": lambda walk: 2 if walk.family == "ip" else 10,
    "ethertype": lambda walk: 0x800 if walk.family == "ip" else 0x86DD,
    "version": lambda walk: 4 if walk.family == "ip" else 6,
    "hdrlength": lambda walk: 5,
    "ecn": lambda walk: 0,
    "pkttype": _packet_type,
    "iifgroup": _of_device("iifname", "group"),
    "oifgroup": _of_device("oifname", "group"),
    "iifkind": _of_device("iifname", "kind"),
    "oifkind": _of_device("oifname", "kind"),
    "fib daddr": _type("d"),
    "fib saddr": _type("s"),
    "fib daddr iif": _type("d", by_device=True),
    "fib saddr iif": _type("s", by_device=True),
    "reverse path": lambda walk: int(
        walk.environment.back_by(walk.family, _low(walk.values["saddr"]), str(walk.values["iifname"]))
    ),
}
