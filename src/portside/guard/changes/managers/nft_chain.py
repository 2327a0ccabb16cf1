"""Openings in somebody's own nftables chain: one rule of ours, put before the one that denies (with --log two).

It is found again by its comment.  A reload of the host's nftables.conf takes it away (that file usually begins with
`flush ruleset`); to keep it, the file gets an `include` of ours at its end.  Reference: nft(8) "RULES".
"""

from __future__ import annotations

from portside.errors import NotSupported
from portside.guard.changes.names import comment, comment_text, log_words
from portside.guard.changes.persist import LOADED
from portside.guard.changes.plan import Drop, Plan, Pull, Run, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portside.guard.changes.wish import Wish

OPENINGS = "/etc/portside/opening-{}.nft"


def opening(wish: Wish, number: int, family: str, table: str, chain: str, handle: int) -> Plan:
    """Return the plan; a handle of 0 means the chain's policy denies, so that the rule goes to its end."""
    where = f"{family} {table} {chain}"
    put = f"insert rule {where} handle {handle}" if handle else f"add rule {where}"
    rules = list(_rules(wish, number, family))
    script = "".join(f"{put} {rule}\n" for rule in rules)
    back = Pull(family, table, chain, comment_text(number, wish))
    return Plan("nftables", (Run(("nft", "-f", "-"), script),), (back,))


def lasting(
    wish: Wish,
    number: int,
    family: str,
    table: str,
    chain: str,
    handle: int,
    read: Callable[[str], str | None],
) -> Plan:
    """Return the plan that has the rule loaded at boot, behind the host's own file."""
    put = "insert" if handle else "add"
    script = "".join(f"{put} rule {family} {table} {chain} {rule}\n" for rule in _rules(wish, number, family))
    found = next(((path, text) for path in LOADED if (text := read(path)) is not None), None)
    if found is None or "flush ruleset" not in found[1] or table not in found[1]:
        raise NotSupported(
            "keep", "the rule over a reboot", f"no file that makes the table '{table}' is loaded at boot here",
            "add the rule where the table is made",
        )  # fmt: skip
    path, text = found
    ours = OPENINGS.format(number)
    line = f'include "{ours}"  # portside'
    included = text + ("" if text.endswith("\n") else "\n") + line + "\n"
    steps = (Write(ours, script), Write(path, included))
    return Plan("nftables", steps, (Drop(path, (line,)), Write(ours, None)))


def _rules(wish: Wish, number: int, family: str) -> Iterator[str]:
    before = f"meta time < {wish.until} " if wish.until else ""
    before += f'iifname "{wish.interface}" ' if wish.interface else ""
    tails = [f"{log_words(number)} "] if wish.log else []
    tails.append("counter accept ")
    for protocol, ranges in wish.by_protocol().items():
        ports = f"{protocol} dport {{ {', '.join(map(str, ranges))} }}"
        for tail in tails:
            rule = f"{ports} {tail}{comment(number, wish)}"
            if not wish.sources:
                yield before + rule
            for version, sources in sorted(wish.by_version().items()):
                if family in ("inet", {4: "ip", 6: "ip6"}[version]):
                    saddr = f"{'ip6' if version == 6 else 'ip'} saddr {{ {', '.join(map(str, sources))} }} "
                    yield before + saddr + rule
