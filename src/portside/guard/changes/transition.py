"""From one state of our own table to another: the transaction that touches no more than what differs.

The rules are few and made anew; of blocked addresses there may be 100,000, and only those that come, go or get
another end are named.
"""

from __future__ import annotations

from portside.guard.changes import own_table
from portside.guard.changes.wish import BLOCK, REDIRECT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portside.guard.changes.wish import Wish


def script(
    before: Sequence[tuple[int, Wish]], after: Sequence[tuple[int, Wish]], *, now: int, exists: bool
) -> str:
    """Return the transaction that makes our table hold `after`; without any it goes.

    Of blocked addresses only those are touched in which `after` differs from `before`, unless the table is made anew.
    """
    if not after:
        return own_table.removal_script() if exists else ""
    turns = exists and any(wish.verb == REDIRECT for _, wish in before)
    text = own_table.rules_script(after, turns=turns)
    blocks = [wish for _, wish in after if wish.verb == BLOCK]
    if not exists:
        return text + (own_table.blocked_script(blocks, now) if blocks else "")
    old, new = blocked([wish for _, wish in before if wish.verb == BLOCK]), blocked(blocks)
    gone, come = old.keys() - new.keys(), {address for address, end in new.items() if old.get(address) != end}
    if len(gone) > len(new):  # quicker to put the few in anew than to take the many out
        text += own_table.hosts_flush()
        come = set(new)
    else:
        text += own_table.hosts_removal(gone)
    for end in sorted({new[address] for address in come}):
        hosts = [address for address in come if new[address] == end]
        text += own_table.hosts_script(hosts, max(end - now, 1) if end else 0, old.keys())
    if any("/" in address for address in (*gone, *come)):
        text += own_table.networks_script(blocks, now)
    return text


def blocked(blocks: Iterable[Wish]) -> dict[str, int]:
    """Return every blocked address or network with its end (0: none); of several the latest."""
    ends: dict[str, int] = {}
    for wish in blocks:
        for address in wish.addresses:
            known = ends.get(address, wish.until)
            ends[address] = max(known, wish.until) if known and wish.until else 0
    return ends
