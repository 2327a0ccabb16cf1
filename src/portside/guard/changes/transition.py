"""From one state of our own table to another: what touches no more than what differs.

The rules are few and made anew; of blocked addresses there may be 100,000, and only those that come, go or get
another end are named.  Many that come are told to the kernel in bulk, behind the transaction of the rest: nft(8)
would take twice the time.
"""

from __future__ import annotations

from portside.guard.changes import blocked_sets, own_table
from portside.guard.changes.blocked_sets import Hosts
from portside.guard.changes.wish import BLOCK, REDIRECT
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from portside.guard.changes.wish import Wish

    Numbered = Sequence[tuple[int, Wish]]

MANY = 1000  # new addresses that nft still gets with the rest


class Transition(Record):
    """What is to be done: a script for nft, and what is added to the sets besides; nothing where both are empty."""

    rest: str = ""
    added: tuple[Hosts, ...] = ()

    @property
    def script(self) -> str:
        """Return all of it in nft's words."""
        return self.rest + "".join(hosts.script for hosts in self.added)

    @property
    def many(self) -> bool:
        """Whether so much is added that it goes to the kernel in bulk."""
        return sum(len(hosts.addresses) for hosts in self.added) > MANY


def between(before: Numbered, after: Numbered, *, now: int, exists: bool) -> Transition:
    """Return what makes our table hold `after`; without any it goes.

    Of blocked addresses only those are touched in which `after` differs from `before`, unless the table is made anew.
    """
    if not after:
        return Transition(own_table.removal_script() if exists else "")
    before = before if exists else ()
    rest = own_table.rules_script(after, turns=any(wish.verb == REDIRECT for _, wish in before))
    rest += own_table.leftovers_script(before, after)
    blocks = [wish for _, wish in after if wish.verb == BLOCK]
    old = blocked(wish for _, wish in before if wish.verb == BLOCK)
    new = blocked(blocks)
    gone = [address for address in old if address not in new]
    come = [address for address, end in new.items() if old.get(address) != end] if old else list(new)
    again = [address for address in come if address in old] if old else []  # adding would not change the end
    if len(gone) > len(new):  # quicker to put the few in anew than to take the many out
        rest += blocked_sets.hosts_flush()
        again = come = list(new)
    elif gone or again:
        rest += blocked_sets.hosts_removal([*gone, *again])
    if "/" in ",".join((*gone, *come)):
        rest += blocked_sets.networks_script(blocks, now)
    added = Transition(rest, (*_added(come, new, now), *blocked_sets.logged_hosts(before, after)))
    return Transition(added.script) if again else added  # what is out is in again in the same transaction


def _added(addresses: Sequence[str], ends: Mapping[str, int], now: int) -> Iterator[Hosts]:
    """Yield the additions to the sets of single addresses, those that end at the same time together."""
    found = sorted(set(ends.values()))
    for end in found:
        ending = addresses if len(found) == 1 else [one for one in addresses if ends[one] == end]
        yield from blocked_sets.hosts(ending, max(end - now, 1) if end else 0)


def blocked(blocks: Iterable[Wish]) -> dict[str, int]:
    """Return every blocked address or network with its end (0: none); of several the latest."""
    ends: dict[str, int] = {}
    for wish in blocks:
        known = {address: ends[address] for address in wish.addresses if address in ends} if ends else {}
        ends.update(dict.fromkeys(wish.addresses, wish.until))
        for address, end in known.items():
            ends[address] = max(end, wish.until) if end and wish.until else 0
    return ends
