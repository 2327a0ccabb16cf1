"""`portside list`: one row per open port; with -a every socket."""

from __future__ import annotations

from portside.cli import port_table
from portside.cli.command import NETNS, Argument, Command, listing
from portside.cli.listing import conclude

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.listing import Listing
    from portside.cli.output import Output
    from portside.see.reach import Judge
    from portside.see.snapshot import Snapshot


_WHAT = "what to list"
ARGUMENTS = (
    Argument(("filter",), "filter: see docs/filter.md ('port = 22 or proc nginx')", "EXPR", many="*"),
    Argument(("-a", "--all"), "every socket, one row each, connections too", group=_WHAT),
    Argument(("-t", "--tcp"), "TCP (MPTCP and SCTP with it)", group=_WHAT),
    Argument(("-u", "--udp"), "UDP and UDP-Lite", group=_WHAT),
    Argument(("-w", "--raw"), "raw and ping sockets", group=_WHAT),
    Argument(("-x", "--unix"), "Unix sockets", group=_WHAT),
    Argument(("--packet",), "packet sockets", group=_WHAT),
    Argument(("--netlink",), "netlink sockets", group=_WHAT),
    Argument(("-4", "--ipv4"), "IPv4 only", group=_WHAT),
    Argument(("-6", "--ipv6"), "IPv6 only", group=_WHAT),
    NETNS.replace(group=_WHAT),
    *listing(f"{' '.join(port_table.COLUMNS)}; with -a: {' '.join(port_table.SOCKET_COLUMNS)}"),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """List once, or again and again with --watch."""
    if arguments.watch is None:
        return _once(arguments, output)
    from portside.cli.watching import watch

    return watch(_once, arguments, output)


def _once(arguments: SimpleNamespace, output: Output) -> int:
    from portside.guard import seam
    from portside.see import query
    from portside.see.snapshot import take

    judge = seam.judge()
    sought = query.build(" ".join(arguments.filter), _selection(arguments), judge=judge)
    for line in sought.explanation:
        output.detail(line)
    snapshot = take(sought.wish)
    snapshot.accept = sought.accept
    for what, road in snapshot.roads.items():
        output.detail(f"{what} read by {road}")
    if snapshot.holders is not None and snapshot.holders.why_not_bpf:
        output.detail(f"owners not read by bpf: {snapshot.holders.why_not_bpf}")
    if sought.sockets:
        return _sockets(snapshot, arguments, output)
    return _ports(snapshot, judge, arguments, output)


def _selection(arguments: SimpleNamespace) -> Any:
    from portside.see.query import Selection

    families = tuple(word for word, on in (("inet", arguments.ipv4), ("inet6", arguments.ipv6)) if on)
    kinds = tuple(
        word for word in ("tcp", "udp", "raw", "unix", "packet", "netlink") if getattr(arguments, word)
    )
    return Selection(arguments.all, kinds, families, arguments.netns == "all")


def _ports(snapshot: Snapshot, judge: Judge, arguments: SimpleNamespace, output: Output) -> int:
    from portside.see.ports import open_ports
    from portside.see.services import service_names

    names = port_table.no_name if arguments.numeric else service_names()
    return _fitting(port_table.LISTING, arguments).show(
        open_ports(snapshot.sockets, names, judge), snapshot, arguments, output
    )


def _sockets(snapshot: Snapshot, arguments: SimpleNamespace, output: Output) -> int:
    from portside.cli import socket_table

    usual = arguments.sort is None and arguments.columns is None and arguments.netns != "all"
    bulk = usual and not (arguments.csv or output.json)
    if bulk and snapshot.accept is None and output.width() is None:
        from portside.cli.socket_stream import Stream

        stream = Stream(snapshot, output)
        stream.write(header=not arguments.no_header)
        return conclude(stream.count, snapshot.count_gaps(stream.gaps), arguments, output)
    return _fitting(socket_table.LISTING, arguments).show(snapshot.sockets, snapshot, arguments, output)


def _fitting(listing: Listing, arguments: SimpleNamespace) -> Listing:
    """Show the namespace by default where there may be several, and users as numbers if asked."""
    default = (*listing.default, "netns") if arguments.netns == "all" else listing.default
    if not arguments.numeric:
        return listing.replace(default=default)
    return listing.replace(default=default, columns=listing.columns | {"user": listing.columns["uid"]})


COMMAND = Command(
    "list",
    "one row per open port: who holds it, where it is bound, since when",
    ARGUMENTS,
    run,
    description="List the open ports of this host: TCP sockets that listen or hold a port without listening,\n"
    "and UDP sockets that are bound and not connected to one peer.  One row is one service.\n\n"
    "SERVICE is guessed from the number, hence the `?`.  BOUND TO: `*` is IPv4 and IPv6 at once,\n"
    "`0.0.0.0` IPv4 alone, `[::]` IPv6 alone, `%eth0` one device.  REACH is the firewall's\n"
    "word where there is one, see 'portside reach'.  OWNER in parentheses says why no process is\n"
    "named.  Exit 1 when nothing was found.",
    examples="  portside list 'port = 8000-8100 and user www-data'\n"
    "  portside list -a 'state established and ( dport = :smtp or sport = :smtp )'\n"
    "  portside list --columns port,bound,owner,backlog --sort -backlog",
)
