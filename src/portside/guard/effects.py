"""What a chain reads and writes: whether the order of two chains matters, and which rules do nothing."""

from __future__ import annotations

from portside.guard.fields import FIELDS
from portside.guard.model import Assign, Match, Nat, Notrack, Rule, Unknown, Update, Verdict, VerdictMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.model import Chain, Table


def inert(rule: Rule) -> bool:
    """Whether a rule does nothing to a packet's way, whatever its tests say (it logs, it counts)."""
    return not any(
        isinstance(one, Verdict | VerdictMap | Nat | Assign | Notrack)
        or (isinstance(one, Unknown) and one.effect)
        for one in rule.statements
    )


def order_matters(one: tuple[Table, Chain], other: tuple[Table, Chain]) -> bool:
    """Whether two base chains may not be swapped: one writes what the other reads or writes."""
    reads_one, writes_one = _touched(*one, set())
    reads_other, writes_other = _touched(*other, set())
    return bool(writes_one & (reads_other | writes_other) or writes_other & reads_one)


def _touched(table: Table, chain: Chain, seen: set[str]) -> tuple[set[str], set[str]]:
    reads: set[str] = set()
    writes: set[str] = set()
    if chain.name in seen:
        return reads, writes
    seen.add(chain.name)
    for rule in chain.rules:
        for statement in rule.statements:
            if isinstance(statement, Match | VerdictMap | Nat):
                reads |= {FIELDS[key.field].base for key in statement.keys}
            if isinstance(statement, Nat):
                writes |= {"nat", "daddr", "dport", "saddr", "sport"}
            elif isinstance(statement, Assign):
                writes.add(statement.field)
                reads.add(statement.source)
            elif isinstance(statement, Notrack):
                writes |= {"ct state", "ct status", "ct mark"}
            elif isinstance(statement, Update):
                writes.add(f"@{statement.set.lstrip('@')}")
            for target in _targets(statement):
                deeper = table.chain(target)
                if deeper is not None:
                    more_reads, more_writes = _touched(table, deeper, seen)
                    reads, writes = reads | more_reads, writes | more_writes
    return reads - {""}, writes


def _targets(statement: object) -> list[str]:
    if isinstance(statement, Verdict):
        return [statement.target] if statement.target else []
    if isinstance(statement, VerdictMap):
        return [verdict.target for _, verdict in statement.entries if verdict.target]
    return []
