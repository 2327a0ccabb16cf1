"""The host that a change is decided for: its rules, interfaces, listeners, and what we changed before.

Our own table is not listed: it may hold 100,000 addresses, which takes nft a second.  Before a change it is what the
journal says, loaded and listed in an empty network namespace with the few addresses that are looked at; after one it
is listed without its sets.
"""

from __future__ import annotations

import time

from portside.errors import NotPermitted
from portside.guard import nft, reading
from portside.guard.changes import apply, own_table, simulate, transition
from portside.guard.changes.change import KEPT, Change, active
from portside.guard.changes.names import TABLE
from portside.guard.changes.wish import BLOCK
from portside.record import Record
from portside.system import admin_session, commands, journal, scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portside.guard.changes.wish import Wish
    from portside.guard.environment import Environment
    from portside.guard.model import Ruleset, Table
    from portside.guard.reach import Listener

MANY = 1000  # addresses of one block that are loaded to be looked at
LOOKED_AT = 3  # of those of a block that has more


class Scene(Record):
    """The host as it is: rules, environment, listening ports, our own changes, the number the next one gets.

    `there`: our own table is.
    """

    rules: Ruleset
    environment: Environment
    listening: tuple[Listener, ...]
    known: tuple[Change, ...]
    number: int
    there: bool


def read_scene(wish: Wish) -> Scene:
    """Return the host as it is; raises NotPermitted where the rules or the journal may not be read."""
    with apply.open_journal() as book:
        apply.recover(book)
        known = apply.changes_of(book)
    return scene_with(known, wish)


def scene_with(known: Mapping[int, Change], wish: Wish) -> Scene:
    """Return the host as it is, with these changes of ours; raises NotPermitted where the rules may not be read."""
    changes = tuple(known[number] for number in sorted(known))
    rules, there = others_rules(), own_table.is_there()
    if there:
        rules = simulate.with_table(rules, _as_nft_lists(in_force(changes), wish))
    number = journal.next_number(known)
    return Scene(rules, reading.read_environment(), _listening(), changes, number, there)


def others_rules() -> Ruleset:
    """Return the rules in force but our own table's; raises NotPermitted where they may not be read."""
    rules = reading.read_rules(without=TABLE)
    if rules.unread:
        raise NotPermitted("read", "the firewall's rules", rules.unread[0])
    return rules


def rules_afterwards() -> Ruleset:
    """Return the rules in force after a change, our own table without what its sets hold."""
    rules = others_rules()
    if not own_table.is_there():
        return rules
    listed = nft.from_json(commands.run(("nft", "-t", "-j", "list", "ruleset")))
    return simulate.with_table(rules, next((table for table in listed.tables if str(table) == TABLE), None))


def _listening() -> tuple[Listener, ...]:
    """Return what listens for others than this host itself."""
    from portside.guard.seam import listener
    from portside.see.api import list_ports

    rows = [row for row in list_ports() if any(one.scope != "loopback" for one in row.addresses)]
    return tuple(listener(row.sockets) for row in rows if row.protocol in ("tcp", "udp"))


def in_force(known: Iterable[Change]) -> list[tuple[int, Wish]]:
    """Return the changes that our own table holds now."""
    return active(known, time.time(), journal.boot_id(), journal.network())


def blocks(scene: Scene) -> list[Wish]:
    """Return what blocks addresses now."""
    return [wish for _, wish in in_force(scene.known) if wish.verb == BLOCK]


def table_with(wish: Wish, scene: Scene) -> Table | None:
    """Return our table as it is with a wish, None where there is none."""
    return _as_nft_lists(in_force([*scene.known, _next(wish, scene)]), wish)


def script_with(wish: Wish, scene: Scene) -> str:
    """Return the script that adds a wish to our table."""
    before, after = in_force(scene.known), in_force([*scene.known, _next(wish, scene)])
    return transition.between(before, after, now=int(time.time()), exists=scene.there).script


def _next(wish: Wish, scene: Scene) -> Change:
    here = (journal.boot_id(), journal.network())
    return Change(scene.number, wish, "portside", True, (), KEPT, time.time(), *here)


def _as_nft_lists(changes: list[tuple[int, Wish]], looked_at: Wish) -> Table | None:
    few = [(number, _shortened(each, looked_at)) for number, each in changes]
    script = transition.between([], few, now=int(time.time()), exists=False).script
    listed = scratch.run(_loaded, script) if script else ""
    return next(iter(nft.from_json(listed).tables), None) if listed else None


def _loaded(script: str) -> str:
    commands.run(apply.NFT_LOAD, script)
    return commands.run(("nft", "-j", "list", "table", *TABLE.split()))


def _shortened(each: Wish, looked_at: Wish) -> Wish:
    """Return a block of very many addresses with those alone that samples are from."""
    if len(each.addresses) <= MANY:
        return each
    wanted = set(looked_at.addresses[:LOOKED_AT])
    session = admin_session.find()
    if session is not None:
        wanted.add(session.client)
    kept = [address for address in each.addresses if address in wanted or "/" in address]
    return each.replace(addresses=tuple(kept or each.addresses[:1]))
