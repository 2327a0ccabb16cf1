"""Portside's own nftables table, `inet portside`: what it holds is a function of the changes in force.

    chain block       prerouting, raw: drops what comes from a blocked address, before anything else sees it,
                      connections that are established too; so it holds for forwarded ports (containers) as well
    chain gate        prerouting, after connection tracking and before any DNAT, so that the port is the one that
                      was asked for: accepts the exceptions, then limits rates, then drops what is closed
    chain over        logs and drops what comes over a rate, where that is to be logged
    chains turn*      the redirections

A drop is final wherever it stands; an accept here only spares what this table would drop.  Each script is one
transaction: rules are made anew, the sets of blocked addresses (`blocked_sets`) are changed by elements.
Very many new addresses follow in a transaction of their own (`transition.MANY`): until it nothing of them is blocked,
after it all of them are.
The end of a change is a condition in its rules (`meta time`), of an element its timeout: the kernel keeps both.
Reference: nft(8).
"""

from __future__ import annotations

from portside.guard.changes import blocked_sets
from portside.guard.changes.names import NFPROTO_INET, TABLE, comment, log_words
from portside.guard.changes.wish import CLOSE, OPEN, REDIRECT
from portside.system import firewall
from portside.system.host import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portside.guard.changes.wish import Wish

    Numbered = Sequence[tuple[int, Wish]]

_CHAINS = """\
add chain inet portside block { type filter hook prerouting priority raw; policy accept; }
add chain inet portside gate { type filter hook prerouting priority mangle; policy accept; }
flush chain inet portside block
flush chain inet portside gate
"""
_OVER = """\
add chain inet portside over
flush chain inet portside over
"""
_TURNS = """\
add chain inet portside turn { type nat hook prerouting priority dstnat; policy accept; }
add chain inet portside turn_own { type nat hook output priority -100; policy accept; }
add chain inet portside turn_back { type nat hook postrouting priority srcnat; policy accept; }
flush chain inet portside turn
flush chain inet portside turn_own
flush chain inet portside turn_back
"""
_LOCAL = "fib daddr type local"


def rules_script(changes: Numbered, *, turns: bool = False) -> str:
    """Return the script that makes the table's rules those of `changes`, oldest first.

    `turns` keeps the chains of redirections even without one: they exist and must be emptied.
    """
    lines = [f"add table {TABLE}\n", blocked_sets.sets_script(changes), _CHAINS]
    lines += [blocked_sets.drops_script(changes), f'add rule {TABLE} gate iifname "lo" accept\n']
    lines += _over(changes)
    opened = [(number, wish) for number, wish in changes if wish.verb == OPEN]
    for number, wish in sorted(opened, key=lambda change: change[1].rate is not None):
        lines += _rates(number, wish)
        lines += _gate(number, wish)
    for number, wish in changes:
        if wish.verb == CLOSE:
            lines += _gate(number, wish)
    redirections = [(number, wish) for number, wish in changes if wish.verb == REDIRECT]
    if redirections or turns:
        lines.append(_TURNS)
    for number, wish in redirections:
        lines += _turn(number, wish)
    return "".join(lines)


def leftovers_script(before: Numbered, after: Numbered) -> str:
    """Return the script that takes out what the rules of `before` referred to, and those of `after` otherwise."""
    over = f"add chain {TABLE} over\ndelete chain {TABLE} over\n"
    unused = over if _loud(before) and not _loud(after) else ""
    return unused + blocked_sets.logged_script(before, after)


def is_there() -> bool:
    """Return whether the kernel has the table; asked without nft(8), which reads every set first."""
    return (NFPROTO_INET, TABLE.partition(" ")[2]) in firewall.nft_tables(LIVE)


def removal_script() -> str:
    """Return the script that takes the table away, which must be there."""
    return f"delete table {TABLE}\n"


def _loud(changes: Numbered) -> list[tuple[int, Wish]]:
    return [(number, wish) for number, wish in changes if wish.rate is not None and wish.log]


def _over(changes: Numbered) -> Iterator[str]:
    """Yield the chain where what comes over a rate is logged, and dropped."""
    if loud := _loud(changes):
        yield _OVER
        for number, wish in loud:
            for match in _matches(wish):
                yield f"add rule {TABLE} over {match} {log_words(number)} {comment(number, wish)}\n"
        yield f"add rule {TABLE} over drop\n"


def _gate(number: int, wish: Wish) -> Iterator[str]:
    verdict = "accept" if wish.verb == OPEN else "drop"
    for match in _matches(wish):
        new = f"add rule {TABLE} gate {match} {_LOCAL} ct state new"
        if wish.log:
            yield f"{new} {log_words(number)} {comment(number, wish)}\n"
        yield f"{new} counter {verdict} {comment(number, wish)}\n"


def _rates(number: int, wish: Wish) -> Iterator[str]:
    if wish.rate is None:
        return
    verdict = "goto over" if wish.log else "drop"
    for at, match in enumerate(_matches(wish, both=True)):
        family = "ip6" if "nfproto ipv6" in match or "ip6 saddr" in match else "ip"
        meter = f"meter rate{number}_{at} {{ {family} saddr limit rate over {wish.rate} }}"
        tail = f"{_LOCAL} ct state new {meter} counter {verdict} {comment(number, wish)}"
        yield f"add rule {TABLE} gate {match} {tail}\n"


def _turn(number: int, wish: Wish) -> Iterator[str]:
    target = wish.target
    assert target is not None
    if target.address:
        family = "ip6" if target.version == 6 else "ip"
        action = f"dnat {family} to {target}"
    else:
        family, action = "", f"redirect to :{target.port}"
    for match in _matches(wish):
        if family and f"{'ip' if family == 'ip6' else 'ip6'} saddr" in match:
            continue
        of_family = f"meta nfproto ipv{target.version} " if family else ""
        chains = ("turn",) if wish.interface or wish.sources else ("turn", "turn_own")
        for chain in chains:
            rule = f"add rule {TABLE} {chain} {of_family}{match} {_LOCAL}"
            if wish.log:
                yield f"{rule} {log_words(number)} {comment(number, wish)}\n"
            yield f"{rule} counter {action} {comment(number, wish)}\n"
    if family:
        for protocol in wish.by_protocol():
            back = f"ct status dnat {family} daddr {target.address} {protocol} dport {target.port}"
            yield f"add rule {TABLE} turn_back {back} counter masquerade {comment(number, wish)}\n"


def _matches(wish: Wish, *, both: bool = False) -> Iterator[str]:
    """Yield the conditions of a wish: one line for each protocol and family of sources; `both`: each family apart."""
    before = f"meta time < {wish.until} " if wish.until else ""
    if wish.interface:
        before += f'iifname "{wish.interface}" '
    families = [
        f"{'ip6' if version == 6 else 'ip'} saddr {{ {', '.join(map(str, sources))} }} "
        for version, sources in sorted(wish.by_version().items())
    ]
    if not families:
        families = ["meta nfproto ipv4 ", "meta nfproto ipv6 "] if both else [""]
    for protocol, ranges in wish.by_protocol().items():
        for family in families:
            yield f"{before}{family}{protocol} dport {{ {', '.join(map(str, ranges))} }}"
