"""Where the rule stands that a verdict names: the place into which an opening goes."""

from __future__ import annotations

from portside.guard.changes.managers import Denial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.guard.model import Rule, Ruleset, Table
    from portside.guard.packet import Because


def denial_of(rules: Ruleset, because: Because) -> Denial | None:
    """Return where the rule stands that a verdict names; None where no rule decided (no route, a martian)."""
    if not because.table:
        return None
    family, _, name = because.table.partition(" ")
    for table, chain in rules.chains():
        if (table.family, table.name, chain.name) != (family, name, because.chain):
            continue
        by_nft = table.origin == "nft" and not _of_iptables(table)
        place = _place(chain.rules, because.handle, because.rule)
        return Denial(
            family, name, chain.name, because.handle if place else 0, "nft" if by_nft else "iptables",
            0 if by_nft else place, _base(rules, because), because.rule,
        )  # fmt: skip
    return None


def _of_iptables(table: Table) -> bool:
    """Whether iptables-nft made a table: its names, its families, its chains in capitals."""
    names = {"filter", "nat", "mangle", "raw", "security"}
    base = [chain.name for chain in table.chains if chain.hook]
    return table.family in ("ip", "ip6") and table.name in names and any(name.isupper() for name in base)


def _place(rules: Sequence[Rule], handle: int, text: str) -> int:
    """Return the number of a rule in its chain, 0 for the policy."""
    if handle:
        return next((at for at, rule in enumerate(rules, 1) if rule.handle == handle), 0)
    tail = text.rpartition("(rule ")[2].rstrip(")")
    return int(tail) if "(rule " in text and tail.isdecimal() else 0


def _base(rules: Ruleset, because: Because) -> str:
    """Return a chain of ufw's, where the way went through one: then the policy of INPUT is ufw's."""
    chain = because.chain
    if chain in ("INPUT", "FORWARD") and any(each.name.startswith("ufw") for _, each in rules.chains()):
        return "ufw-before-input"
    return chain
