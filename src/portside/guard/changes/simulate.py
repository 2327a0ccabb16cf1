"""The ruleset as it would be: our own table as nft reads our script, an opening as a rule put into its chain."""

from __future__ import annotations

from portside.guard.model import Key, Match, Rule, Ruleset, Table, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.changes.managers import Denial
    from portside.guard.changes.wish import Wish

PLANNED = "the rule that is planned"
_FAMILY = {4: "ip", 6: "ip6"}


def with_table(ruleset: Ruleset, table: Table | None) -> Ruleset:
    """Return the ruleset with this table of ours instead of the one it has; None: with none."""
    others = tuple(each for each in ruleset.tables if (each.family, each.name) != ("inet", "portside"))
    return ruleset.replace(tables=others if table is None else (*others, table))


def with_opening(ruleset: Ruleset, wish: Wish, denial: Denial, *, both: bool = False) -> Ruleset:
    """Return the ruleset with the wish's rules before the one that denies, or at the end of its chain.

    `both`: its maker puts them into the chain of the other family too (ufw).
    """
    tables = []
    for table in ruleset.tables:
        here = table.name == denial.table and (table.family == denial.family or both)
        tables.append(_opened(table, wish, denial) if here else table)
    return ruleset.replace(tables=tuple(tables))


def _opened(table: Table, wish: Wish, denial: Denial) -> Table:
    names = (denial.chain, denial.chain.replace("ufw-", "ufw6-", 1), denial.chain.replace("ufw6-", "ufw-", 1))
    chains = []
    for chain in table.chains:
        if chain.name in names:
            rules = list(chain.rules)
            at = _place(rules, denial)
            rules[at:at] = list(rules_of(wish, table.family))
            chain = chain.replace(rules=tuple(rules))
        chains.append(chain)
    return table.replace(chains=tuple(chains))


def _place(rules: list[Rule], denial: Denial) -> int:
    if denial.place:
        return min(denial.place - 1, len(rules))
    if denial.handle:
        return next((at for at, rule in enumerate(rules) if rule.handle == denial.handle), len(rules))
    return len(rules)


def rules_of(wish: Wish, family: str) -> Iterator[Rule]:
    """Yield rules that accept what a wish opens, as a chain of that family would have them."""
    for protocol, ranges in wish.by_protocol().items():
        ports = Match((Key(f"{protocol} dport"),), tuple(((one.first, one.last),) for one in ranges))
        on = (Match((Key("iifname"),), ((wish.interface,),)),) if wish.interface else ()
        if not wish.sources:
            yield Rule((*on, ports, Verdict("accept")), PLANNED)
        for version, sources in wish.by_version().items():
            if family in ("inet", _FAMILY[version]):
                spans = tuple((_span(source.raw, source.bits),) for source in sources)
                saddr = Match((Key(f"{_FAMILY[version]} saddr"),), spans)
                yield Rule((*on, saddr, ports, Verdict("accept")), PLANNED)


def _span(raw: bytes, bits: int) -> tuple[int, int]:
    first = int.from_bytes(raw, "big")
    return first, first | (1 << 8 * len(raw) - bits) - 1
