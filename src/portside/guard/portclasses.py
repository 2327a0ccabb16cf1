"""Ports that the rules treat alike: where a range has to be cut so that one port of each part stands for the rest.

Rules tell ports apart at the ends of the spans they name, and at nothing else; where a mask is on the port every
value counts.  The source ports that rules name count as well: an answer comes from the port that was asked for.
"""

from __future__ import annotations

from portside.guard.fields import FIELDS
from portside.guard.model import Assign, Match, Nat, VerdictMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.guard.model import Box, Chain, Key, Rule, Ruleset

_PORTS = ("dport", "ct dport", "sport")
_LAST = 0xFFFF


def starts(rulesets: Iterable[Ruleset]) -> list[int]:
    """Return the ports at which the rules begin to treat ports otherwise than the one below, in order."""
    found: set[int] = set()
    for ruleset in rulesets:
        for _, chain in ruleset.chains():
            for first, last in _named(chain):
                found |= {first, last + 1}
    return sorted(found)


def parts(cuts: list[int], low: int, high: int) -> list[tuple[int, int]]:
    """Return the spans that make up the ports from `low` to `high`, cut at `starts` of rules."""
    inside = [low, *(one for one in cuts if low < one <= high)]
    return list(zip(inside, [start - 1 for start in inside[1:]] + [high], strict=True))


def translated(ruleset: Ruleset) -> list[tuple[int, int]]:
    """Return the spans of ports that are named where destinations are translated."""
    found: set[tuple[int, int]] = set()
    for table in ruleset.tables:
        if any(_turns(rule) for chain in table.chains for rule in chain.rules):
            for chain in table.chains:
                if not chain.hook or chain.type == "nat":
                    found.update(_named(chain))
    return sorted(found)


def _turns(rule: Rule) -> bool:
    return any(isinstance(one, Nat) and one.kind in ("dnat", "redirect") for one in rule.statements)


def _named(chain: Chain) -> Iterator[tuple[int, int]]:
    for rule in chain.rules:
        for statement in rule.statements:
            if isinstance(statement, Match):
                yield from _spans(statement.keys, (*statement.boxes, *statement.timed))
            elif isinstance(statement, VerdictMap):
                yield from _spans(statement.keys, (box for box, _ in statement.entries))
            elif isinstance(statement, Nat | Assign):
                yield from _spans(statement.keys, (choice[0] for choice in statement.choices))
            if isinstance(statement, Nat) and statement.kind in ("dnat", "redirect"):
                yield from (one for one in (statement.port, *_targets(statement)) if one is not None)


def _targets(nat: Nat) -> Iterator[tuple[int, int] | None]:
    return (ports for _, _, ports in nat.choices)


def _spans(keys: tuple[Key, ...], boxes: Iterable[Box]) -> Iterator[tuple[int, int]]:
    """Yield the ports that boxes name: a port that is in the range of a translation is kept, so these count, too."""
    at = [place for place, key in enumerate(keys) if FIELDS[key.field].base in _PORTS]
    if not at:
        return
    if any(keys[place].mask or keys[place].shift for place in at):
        yield from ((port, port) for port in range(_LAST + 1))
        return
    for box in boxes:
        for place in at:
            span = box[place] if box else None
            if isinstance(span, tuple):
                yield span
