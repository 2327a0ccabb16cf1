"""`portside rules`: the port rules in force, whoever made them, as one table."""

from __future__ import annotations

from portside.cli.command import Command, listing
from portside.cli.listing import Listing
from portside.cli.output import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.guard.rules import PortRule


def _count(number: int | None) -> str:
    return "-" if number is None else str(number)


def _where(row: PortRule) -> str:
    return f"{row.table} {row.chain} " + (f"handle {row.handle}" if row.handle else f"rule {row.place}")


COLUMNS = {
    column.name: column
    for column in (
        Column("owner", "OWNER", lambda row: row.owner),
        Column("hook", "HOOK", lambda row: ",".join(row.hooks) or "-", shrink=2),
        Column("family", "FAMILY", lambda row: row.family, shrink=3),
        Column("protocol", "PROTO", lambda row: row.protocol),
        Column("ports", "PORTS", lambda row: row.ports, shrink=4),
        Column("from", "FROM", lambda row: row.sources or "anywhere", shrink=4),
        Column("interface", "ON", lambda row: row.interface or "-", shrink=2),
        Column("action", "ACTION", lambda row: row.action, shrink=4),
        Column(
            "packets", "PACKETS", lambda row: _count(row.packets), lambda row: row.packets or 0, right=True
        ),
        Column(
            "bytes", "BYTES", lambda row: _count(row.bytes), lambda row: row.bytes or 0, right=True, shrink=3
        ),
        Column("where", "WHERE", _where, shrink=1),
        Column("rule", "RULE", lambda row: row.rule, shrink=1),
        Column("comment", "COMMENT", lambda row: row.comment or "-", shrink=2),
    )
}
DEFAULT = ("owner", "hook", "protocol", "ports", "from", "interface", "action", "packets", "bytes", "where")


def item(row: PortRule) -> dict[str, Any]:
    """An item of `kind: rules`."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


LISTING = Listing("rules", item, COLUMNS, DEFAULT)
ARGUMENTS = listing(" ".join(COLUMNS))


class _Looked:
    """What a listing asks of a snapshot: when, where, and what could not be seen."""

    def __init__(self, unread: tuple[str, ...]) -> None:
        import time

        from portside.see.records import Gap
        from portside.system.host import LIVE

        self.at, self.host = time.time(), LIVE
        self.gaps = [Gap("firewall rules", why, 1) for why in unread]


def run(arguments: SimpleNamespace, output: Output) -> int:
    """List the rules once, or again and again with --watch."""
    if arguments.watch is None:
        return _once(arguments, output)
    from portside.cli.watching import watch

    return watch(_once, arguments, output)


def _once(arguments: SimpleNamespace, output: Output) -> int:
    from portside.guard import reading
    from portside.guard.rules import port_rules

    ruleset = reading.read_rules()
    looked: Any = _Looked(ruleset.unread)
    rows = list(port_rules(ruleset))
    if not rows and not ruleset.unread:
        output.note("no rule speaks of ports; 'portside reach' judges all rules")
    return LISTING.show(rows, looked, arguments, output)


COMMAND = Command(
    "rules",
    "the port rules in force, whoever made them, as one table",
    ARGUMENTS,
    run,
    description="List every rule that speaks of ports and does something: nftables, iptables of both back ends,\n"
    "with its counters and the tool it belongs to, told from the names of tables and chains.\n"
    "Exit 1 when there is none.",
    examples="  portside rules\n  portside rules --sort -packets\n  portside rules --columns owner,ports,action,rule",
)
