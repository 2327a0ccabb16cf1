"""The symbolic evaluator: every packet at once, as sets of packets that go through the rules.

A set travels with a *state*: the fields that are known (protocol, interface, marks, translated addresses) as values,
the others as variables.  A rule splits the set of each state: what passes its tests goes where the rule says, the
rest goes on.  Sets of equal states are joined.  What cannot be known is a variable of its own for each question, so
that an answer may depend on it without getting wider or narrower.

Kept apart from the plain evaluator (`plain.py`, `walk.py`), which is its judge in the tests.
"""

from __future__ import annotations

from portside.guard import path
from portside.guard.acting import Acting
from portside.guard.bdd import ALL, EMPTY, merge
from portside.guard.effects import order_matters
from portside.guard.fields import FIELDS
from portside.guard.matching import Matching
from portside.guard.model import Key, Match, Unknown, Verdict
from portside.guard.packet import because_policy
from portside.guard.ruleindex import ACTIONS, Block, RuleIndex, actions
from portside.guard.space import Space, Var
from portside.guard.state import State
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.guard.environment import Environment
    from portside.guard.model import Chain, Rule, Ruleset, Table
    from portside.guard.packet import Because
    from portside.guard.state import States, Value


class Stop(Record):
    """A set of packets that came to an end: which, by what, and what their senders see."""

    node: int
    because: Because
    client: str = "silence"


class Engine:
    """The rules of one host for packets of one family; `space`: in which the sets are, to be compared with others."""

    def __init__(
        self, ruleset: Ruleset, environment: Environment, family: str, space: Space | None = None
    ) -> None:
        self.ruleset, self.environment, self.family = ruleset, environment, family
        self.space = space or Space(environment, family)
        self.manager = self.space.manager
        self.matching = Matching(self.space, environment, family)
        self.stops: list[Stop] = []
        self.passes: list[tuple[int, Because]] = []
        self._bases: dict[tuple[str, str], list[path.Place]] = {}
        self._indexes: dict[int, RuleIndex] = {}
        self._runs: dict[object, int] = {}
        self.at_hook = ""

    def hook(self, hook: str, states: States, device: str = "") -> States:
        """Send sets through the base chains of a hook; return those that go on; `stops` and `passes` are added to."""
        self.at_hook = hook
        key = (hook, device)
        if key not in self._bases:
            self._bases[key] = path.base_chains(self.ruleset, self.family, hook, device)
        chains = self._bases[key]
        for one, other in path.ties(chains):
            if order_matters(one, other):
                return self._either_order(chains, one, other, states)
        return self._run(chains, states)

    def _either_order(
        self, chains: list[path.Place], one: path.Place, other: path.Place, states: States
    ) -> States:
        asked = self.space.question(f"order of {one[0]} {one[1].name}, {other[0]} {other[1].name}")
        swapped = list(chains)
        at = chains.index(one)
        swapped[at : at + 2] = [other, one]
        as_is = {state: self.manager.both(node, asked) for state, node in states.items()}
        turned = {state: self.manager.less(node, asked) for state, node in states.items()}
        return self._join([*self._run(chains, as_is).items(), *self._run(swapped, turned).items()])

    def _run(self, chains: list[path.Place], states: States) -> States:
        hook = self.at_hook
        tracks = hook in ("prerouting", "output")
        tracked, translated = False, hook not in path.NAT
        for table, chain in chains:
            priority = path.effective_priority(chain)
            if tracks and not tracked and priority > path.CONNTRACK:
                tracked, states = True, self._each(states, _track)
            if not translated and priority > path.NAT[hook]:
                translated, states = True, self._each(states, self._replay)
            skipped: States = {}
            if chain.type == "nat":
                skipped = {state: node for state, node in states.items() if not self._meets_nat(state)}
                states = {state: node for state, node in states.items() if state not in skipped}
            states = self._join([*self._base(table, chain, states).items(), *skipped.items()])
        if tracks and not tracked:
            states = self._each(states, _track)
        return states if translated else self._each(states, self._replay)

    def _each(self, states: States, change: Any) -> States:
        return self._join([(change(state), node) for state, node in states.items()])

    def _join(self, pairs: list[tuple[State, int]]) -> States:
        joined: States = {}
        for state, node in pairs:
            if node != EMPTY:
                joined[state] = self.manager.either(joined[state], node) if state in joined else node
        return joined

    def manip(self) -> str:
        """Return which end is translated at this hook: dst or src."""
        return "dst" if self.at_hook in ("prerouting", "output") else "src"

    def _meets_nat(self, state: State) -> bool:
        values = state.values
        new = values["_state"] == "new" and values["_met"] and not values["_untracked"]
        return bool(new and not values[f"_bound {self.manip()}"] and not values["_looped"])

    def _replay(self, state: State) -> State:
        """Translate packets of a known connection as its first one was, answers back."""
        values, manip = state.values, self.manip()
        if not values["_met"] or values["_untracked"] or (values["_looped"] and self.at_hook == "prerouting"):
            return state
        changes: dict[str, Value] = {}
        if values["_reply"]:
            names = (("daddr", "_of saddr"), ("dport", "_of sport"))
            if manip == "src":
                names = (("saddr", "_of daddr"), ("sport", "_of dport"))
            changes = {name: values[original] for name, original in names}
        elif values["_state"] != "new" and values[f"_bound {manip}"]:
            side = "d" if manip == "dst" else "s"
            changes = {
                name: values[f"_to {name}"]
                for name in (f"{side}addr", f"{side}port")
                if f"_to {name}" in values
            }
        return state.set(changes) if changes else state

    def _base(self, table: Table, chain: Chain, states: States) -> States:
        fell, accepted = self.chain(table, chain, states, 0)
        policy = because_policy(table, chain)
        if chain.policy == "drop":
            self.stop(self.manager.union(fell.values()), policy)
            return self._join(accepted)
        if fell:
            self.passes.append((self.manager.union(fell.values()), policy))
        return self._join([*accepted, *fell.items()])

    def stop(self, node: int, because: Because, client: str = "silence") -> None:
        """Note that a set came to an end."""
        if node != EMPTY:
            self.stops.append(Stop(node, because, client))

    def chain(
        self, table: Table, chain: Chain, states: States, depth: int
    ) -> tuple[States, list[tuple[State, int]]]:
        """Send sets through a chain; return those that fall out of its end, and those accepted."""
        accepted: list[tuple[State, int]] = []
        returned: list[tuple[State, int]] = []
        index = self._indexes.get(id(chain))
        if index is None:
            index = self._indexes[id(chain)] = RuleIndex(chain)
        pending = states
        ports = {state.values["dport"] for state in pending}
        port = ports.pop() if len(ports) == 1 else None
        for rule in index.rules(port):
            if not pending:
                break
            following: list[tuple[State, int]] = []
            changed = False
            for state, node in pending.items():
                if isinstance(rule, Block):
                    left = self._block(table, chain, index, rule, state, node, accepted)
                else:
                    left = self._rule(table, chain, rule, state, node, depth, accepted, returned)
                if left is None:
                    following.append((state, node))
                else:
                    changed = True
                    following += left
            if changed:
                pending = self._join(following)
        return self._join([*pending.items(), *returned]), accepted

    def _block(
        self,
        table: Table,
        chain: Chain,
        index: RuleIndex,
        block: Block,
        state: State,
        node: int,
        accepted: list[tuple[State, int]],
    ) -> list[tuple[State, int]] | None:
        """Send a set at many rules that ask for its sources alone."""
        field = FIELDS[block.field]
        source = state.values[field.base]
        if field.family != self.family:
            return None
        verdict = block.rule.statements[-1]
        assert isinstance(verdict, Verdict)
        hits = self.manager.both(node, self._sources_of(index, block, source))
        if hits == EMPTY:
            return None
        Acting(self, table, chain, block.rule, 0, accepted, [], []).obey(verdict, state, hits)
        return [(state, self.manager.less(node, hits))]

    def _sources_of(self, index: RuleIndex, block: Block, source: Value) -> int:
        """Return where the source is one of a block's, from the sets of its runs, which other blocks share."""
        nodes = []
        for start, length in block.runs():
            key = (id(index), start, length, index.kinds[block.first], source)
            found = self._runs.get(key)
            if found is None:
                spans = merge(index.spans(start, length, block.first))
                found = self._runs[key] = self._source_in(source, spans)
            nodes.append(found)
        return self.manager.union(nodes)

    def _source_in(self, source: Value, spans: list[tuple[int, int]]) -> int:
        if isinstance(source, Var):
            return self.manager.spans(self.space.variables(source.name), spans)
        if isinstance(source, tuple):
            return self.matching.spans(Key("ip saddr"), source, spans)
        return ALL if any(low <= int(source) <= high for low, high in spans) else EMPTY

    def _rule(
        self,
        table: Table,
        chain: Chain,
        rule: Rule,
        state: State,
        node: int,
        depth: int,
        accepted: list[tuple[State, int]],
        returned: list[tuple[State, int]],
    ) -> list[tuple[State, int]] | None:
        """Send a set at one rule; return the sets that go on behind it, None where all of it does unchanged."""
        hits = self._filter(table, chain, rule, rule.statements, state, node)
        if hits == EMPTY:
            return None
        going: list[tuple[State, int]] = [(state, self.manager.less(node, hits))]
        run = Acting(self, table, chain, rule, depth, accepted, returned, going)
        run.statements(actions(rule), state, hits)
        return going

    def _filter(
        self, table: Table, chain: Chain, rule: Rule, statements: Any, state: State, node: int
    ) -> int:
        """Return what passes the tests in front of a rule's first action: first those that need no diagram."""
        later = []
        for statement in statements:
            kind = type(statement)
            if kind is Match:
                answer = self.matching.at_once(statement, state)
                if answer is False:
                    return EMPTY
                if answer is None:
                    later.append(statement)
            elif kind is Unknown and not statement.effect:
                later.append(statement)
            elif kind in ACTIONS or kind is Unknown:
                break
        for statement in later:
            node = self.manager.both(node, self.matching.test(statement, state, table, chain, rule))
            if node == EMPTY:
                break
        return node


def _track(state: State) -> State:
    return state if state.values["_untracked"] else state.set({"_met": 1})
