"""The host that a change is decided for: its rules, interfaces, listeners, and what we changed before."""

from __future__ import annotations

from portside.errors import NotPermitted
from portside.guard.changes import apply, own_table, samples, transition
from portside.guard.changes.change import KEPT, Change, active
from portside.guard.changes.wish import BLOCK
from portside.record import Record
from portside.system import admin_session, commands, journal, netns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.changes.wish import Wish
    from portside.guard.environment import Environment
    from portside.guard.model import Ruleset, Table


class Network(Record):
    """The rules in force, and what decides beside them."""

    rules: Ruleset
    environment: Environment


class Scene(Network):
    """The host as it is: also listening ports, our own changes, the number the next one gets."""

    listening: tuple[tuple[str, int], ...]
    known: tuple[Change, ...]
    number: int


def read_network() -> Network:
    """Return rules and environment; raises NotPermitted where the rules may not be read."""
    from portside.guard import reading

    rules = reading.read_rules()
    if rules.unread:
        raise NotPermitted("read", "the firewall's rules", rules.unread[0])
    return Network(rules, reading.read_environment())


def read_scene() -> Scene:
    """Return the host as it is; raises NotPermitted where the rules or the journal may not be read."""
    from portside.see.api import list_ports

    with journal.Journal() as book:
        apply.recover(book)
        known = apply.changes_of(book)
    network = read_network()
    listening = {
        (row.protocol, row.port)
        for row in list_ports()
        if row.protocol in ("tcp", "udp") and any(one.scope != "loopback" for one in row.addresses)
    }
    ordered = tuple(known[number] for number in sorted(known))
    return Scene(
        network.rules, network.environment, tuple(sorted(listening)), ordered, max(known, default=0) + 1
    )


def own_table_with(wish: Wish, scene: Scene) -> tuple[str, Table | None]:
    """Return the script that adds a wish to our table, and the table as nft then lists it."""
    import json
    import time

    from portside.guard import nft

    now = int(time.time())
    here = (journal.boot_id(), journal.network())
    before = active(scene.known, now, *here)
    change = Change(scene.number, wish, "portside", True, (), KEPT, now, *here)
    after = active([*scene.known, change], now, *here)
    exists = any((table.family, table.name) == ("inet", "portside") for table in scene.rules.tables)
    script = transition.script(before, after, now=now, exists=exists)
    few = [(number, _shortened(each, wish)) for number, each in after]
    whole = transition.script([], few, now=now, exists=False)
    listed = netns.run_in_new(lambda: _loaded(whole)) if whole else json.dumps({"nftables": []})
    return script, next(iter(nft.from_json(listed).tables), None)


def _shortened(each: Wish, wish: Wish) -> Wish:
    """Return a block of very many addresses with those that the samples of the wish are from, and not much more."""
    if len(each.addresses) <= 1000:
        return each
    wanted = set(wish.addresses[: samples.MOST_ADDRESSES])
    session = admin_session.find()
    if session is not None:
        wanted.add(session.client)
    kept = [address for address in each.addresses if address in wanted or "/" in address]
    return each.replace(addresses=tuple(kept or each.addresses[:1]))


def _loaded(script: str) -> str:
    commands.run(apply.NFT_LOAD, script)
    return commands.run(("nft", "-j", "list", "table", *own_table.TABLE.split()))


def in_force(scene: Scene) -> list[tuple[int, Wish]]:
    """Return the changes that our own table holds now."""
    import time

    return active(scene.known, time.time(), journal.boot_id(), journal.network())


def blocks(scene: Scene) -> list[Wish]:
    """Return what blocks addresses now."""
    return [wish for _, wish in in_force(scene) if wish.verb == BLOCK]
