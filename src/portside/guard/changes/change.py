"""A change as it is written down: what was asked, the way back, and how far it came.

    applying   being made; whoever finds it so, and nobody at it, takes it back
    waiting    made, and taken back at its deadline unless somebody confirms
    kept       made
    undone     taken back
    failed     could not be made, and was taken back

The journal keeps JSON; `to_plain` and `from_plain` are the way there and back.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.guard.changes import plan as plans
from portside.guard.changes.wish import BLOCK, UNBLOCK, Rate, Target, Wish, parse_network
from portside.ports.number import Range
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

APPLYING, WAITING, KEPT, UNDONE, FAILED = "applying", "waiting", "kept", "undone", "failed"
STATES = (APPLYING, WAITING, KEPT, UNDONE, FAILED)
IN_FORCE = (APPLYING, WAITING, KEPT)


class Change(Record):
    """One change: its number, the wish, who keeps the rules it went into, the way back, its state.

    `own` says that Portside's own table has part of it.  `at` is when it was made (seconds since 1970), `boot` and
    `network` where: rules are gone after a reboot unless they are `lasting`, and another network namespace has
    others.  `deadline` is in seconds since the boot, 0 for none.
    """

    number: int
    wish: Wish
    manager: str
    own: bool
    back: tuple[plans.Step, ...]
    state: str
    at: float
    boot: str
    network: int
    deadline: float = 0.0
    lasting: bool = False
    why: str = ""

    def in_force(self, now: float, boot: str, network: int) -> bool:
        """Whether its rules are (or should be) there: not taken back, not run out, made here since the boot."""
        here = self.network == network and self.boot == boot
        return self.state in IN_FORCE and (here or self.lasting) and not 0 < self.wish.until <= now


def active(changes: Iterable[Change], now: float, boot: str, network: int) -> list[tuple[int, Wish]]:
    """Return the wishes that our own table should hold, oldest first; a block without what was unblocked later."""
    found: list[tuple[int, Wish]] = []
    for change in changes:
        if not (change.own and change.in_force(now, boot, network)):
            continue
        if change.wish.verb == UNBLOCK:
            found = [(number, _without(wish, change.wish.addresses)) for number, wish in found]
        else:
            found.append((change.number, change.wish))
    return [(number, wish) for number, wish in found if wish.verb != BLOCK or wish.addresses]


def _without(wish: Wish, addresses: tuple[str, ...]) -> Wish:
    if wish.verb != BLOCK:
        return wish
    unblocked = frozenset(addresses)
    return wish.replace(addresses=tuple(one for one in wish.addresses if one not in unblocked))


def to_plain(change: Change) -> dict[str, Any]:
    """Return a change as values that JSON has."""
    plain = dict(change.items())
    plain["wish"] = wish_to_plain(change.wish)
    plain["back"] = plans.to_plain(change.back)
    return plain


def from_plain(plain: Mapping[str, Any]) -> Change:
    """Return the change that `to_plain` made plain; BadReply for anything else."""
    try:
        values = dict(plain)
        values["wish"] = wish_from_plain(values["wish"])
        values["back"] = plans.from_plain(values["back"])
        change = Change(**values)
        if change.state not in STATES:
            raise ValueError(f"no state '{change.state}'")
        return change
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadReply("read change", "", f"it is not one of ours: {error}") from error


def wish_to_plain(wish: Wish) -> dict[str, Any]:
    """Return a wish as values that JSON has."""
    plain = dict(wish.items())
    plain["ports"] = [[protocol, ports.first, ports.last] for protocol, ports in wish.ports]
    plain["sources"] = [str(source) for source in wish.sources]
    plain["addresses"] = "\n".join(wish.addresses)
    plain["rate"] = None if wish.rate is None else [wish.rate.count, wish.rate.per]
    plain["target"] = None if wish.target is None else [wish.target.port, wish.target.address]
    return plain


def wish_from_plain(plain: Mapping[str, Any]) -> Wish:
    """Return the wish that `wish_to_plain` made plain."""
    values = dict(plain)
    values["ports"] = tuple((protocol, Range(first, last)) for protocol, first, last in values["ports"])
    values["sources"] = tuple(parse_network(text) for text in values["sources"])
    values["addresses"] = tuple(values["addresses"].splitlines())
    values["rate"] = None if values["rate"] is None else Rate(*values["rate"])
    values["target"] = None if values["target"] is None else Target(*values["target"])
    return Wish(**values)
