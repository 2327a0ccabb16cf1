"""For each port the rules of a chain that may match it: a long chain costs each port little."""

from __future__ import annotations

from portside.guard.effects import inert
from portside.guard.model import Assign, Match, Nat, Notrack, Rule, Unknown, Verdict, VerdictMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.model import Chain

ACTIONS = frozenset((Verdict, VerdictMap, Nat, Assign, Notrack))


class RuleIndex:
    """The rules of a chain that do something, and for each port those that may match it."""

    def __init__(self, chain: Chain) -> None:
        self.all = [rule for rule in chain.rules if not inert(rule)]
        self._always: list[int] = []
        self._by_port: dict[int, list[int]] = {}
        self._lists: dict[int, list[Rule]] = {}
        for place, rule in enumerate(self.all):
            ports = _only_ports(rule)
            if ports is None:
                self._always.append(place)
            for port in ports or ():
                self._by_port.setdefault(port, []).append(place)

    def rules(self, port: object) -> list[Rule]:
        """Return the rules that packets to a port may meet, all where it is not known."""
        if not isinstance(port, int) or not self._by_port:
            return self.all
        found = self._lists.get(port)
        if found is None:
            places = sorted({*self._always, *self._by_port.get(port, ())})
            found = self._lists[port] = [self.all[place] for place in places]
        return found


def _only_ports(rule: Rule) -> set[int] | None:
    """Return the few ports a rule is about, None where it may be about any."""
    for statement in rule.statements:
        if type(statement) in ACTIONS:
            return None
        if (
            isinstance(statement, Match)
            and len(statement.keys) == 1
            and statement.keys[0].field.endswith(" dport")
            and not (
                statement.negated
                or statement.open
                or statement.timed
                or statement.keys[0].mask
                or statement.keys[0].shift
            )
        ):
            ports: set[int] = set()
            for box in statement.boxes:
                span = box[0]
                assert isinstance(span, tuple)
                low, high = span
                if high - low > 64 or len(ports) > 256:
                    return None
                ports.update(range(low, high + 1))
            return ports
    return None


def actions(rule: Rule) -> list[object]:
    """Return a rule's statements from the first action on."""
    for at, statement in enumerate(rule.statements):
        if type(statement) in ACTIONS or (isinstance(statement, Unknown) and statement.effect):
            return list(rule.statements[at:])
    return []
