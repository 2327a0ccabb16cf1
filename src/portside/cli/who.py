"""`portside who PORT`: everything about one port, as a tree that a person can read at once."""

from __future__ import annotations

from portside.cli.command import NETNS, STRICT, Argument, Command
from portside.cli.listing import conclude
from portside.cli.output import cut, display_width
from portside.cli.port_table import (
    bound_text,
    gap_text,
    no_name,
    place_text,
    reach_text,
    service_text,
    shortened,
    since_text,
    user_text,
)
from portside.cli.typed import typed_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import SimpleNamespace

    from portside.cli.output import Output
    from portside.see.ports import OpenPort
    from portside.see.records import Process
    from portside.see.who import Peer, Report

_PEERS = 10
_STATES = {"listen": "listening", "unconnected": "open", "bound-inactive": "bound, not listening,"}


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"'{text}' is not a number of peers")
    return int(text)


ARGUMENTS = (
    Argument(("port",), "a number or a service name, with /tcp or /udp if you like", "PORT"),
    NETNS,
    Argument(("--peers",), f"how many peers to show ({_PEERS})", "N", default=_PEERS, convert=_count),
    STRICT,
    Argument(("-n", "--numeric"), "numbers instead of service names"),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Look the port up and print the tree, or JSON."""
    from portside.guard import seam
    from portside.see import api, who
    from portside.see.services import service_names

    port, transport = typed_port(arguments.port)
    snapshot = api.take_port(port, transport, every_netns=arguments.netns == "all")
    names = no_name if arguments.numeric else service_names()
    found = who.report(snapshot, port, names, seam.judge())
    gaps = snapshot.gaps
    if output.json:
        from portside.cli import json_form

        output.envelope("who", [json_form.report(found)], gaps, at=snapshot.at, host=snapshot.host.name())
    else:
        width = output.width()
        lines = (_fitted(output.clean(line), width) for line in _lines(found, transport, arguments.peers))
        output.write("".join(f"{line}\n" for line in lines))
    return conclude(found.found, gaps, arguments, output)


_LONG = (
    "exe",
    "command",
    "started by",
)  # cut to the terminal; other lines are folded, so that no address is lost
_GUIDES = str.maketrans("├└─", "│  ")


def _fitted(line: str, width: int | None) -> str:
    """Fit a clean line of the tree into the terminal: cut what may be endless, fold the rest at blanks and commas."""
    if width is None or display_width(line) <= width:
        return line
    text = line.lstrip("│├└─ ")
    if text.startswith(_LONG):
        return cut(line, width)
    hang = line[: len(line) - len(text)].translate(_GUIDES) + "    "
    folded, last = "", ""
    for word in line.replace(",", ",\n").replace(" ", " \n").split("\n"):
        if last.strip() and display_width(last + word.rstrip()) > width:
            folded += last.rstrip() + "\n"
            last = hang
        last += word
    return folded + last


def _lines(found: Report, transport: str, most: int) -> Iterator[str]:
    if not found.found:
        asked = f"{found.port}/{transport}" if transport else found.port
        yield f"{asked}: nothing has this port: no listener, no bound socket, no connection"
        return
    ancestry = dict(found.ancestry)
    for row in found.ports:
        yield from _port_lines(row, ancestry)
    if found.peers:
        yield from _peer_lines(found, most)


def _port_lines(row: OpenPort, ancestry: dict[int, tuple[Process, ...]]) -> Iterator[str]:
    """One open port: what it is, then each holder below its ancestors."""
    kind = "mptcp and tcp" if row.mptcp else row.protocol
    service = f"  {service_text(row)}" if row.service else ""
    state = _STATES.get(row.state, row.state)
    yield f"{row.port}/{kind}{service}  {state} on {bound_text(row)}"
    yield f"├─ reach    {reach_text(row)}: {row.reach.because}"
    if row.backlog is not None:
        limit = "?" if row.backlog.limit is None else row.backlog.limit
        yield f"├─ backlog  {row.backlog.used} of {limit} waiting to be accepted"
    if place_text(row) != "-":
        yield f"├─ unit     {place_text(row)}"
    if row.socket_unit:
        yield f"├─ by       {row.socket_unit} (socket activation)"
    if not row.holders:
        yield f"└─ held by  {gap_text(row.owner_gap, row.kernel)}" + (
            f" user {user_text(row)}" if user_text(row) else ""
        )
        return
    for place, holder in enumerate(row.holders):
        last = place == len(row.holders) - 1
        process = holder.process
        fds = ",".join(map(str, holder.fds))
        yield f"{'└─' if last else '├─'} held by  {process.name or '?'} {process.pid}  fd {fds}"
        yield from _holder_lines(process, ancestry.get(process.pid, ()), "   " if last else "│  ")


def _holder_lines(process: Process, parents: tuple[Process, ...], indent: str) -> Iterator[str]:
    user = process.user or ("?" if process.uid is None else str(process.uid))
    yield f"{indent}user      {user}, since {since_text(process.started)}"
    if process.unit:
        yield f"{indent}unit      {process.unit}"
    if process.container is not None:
        yield f"{indent}container {process.container.engine} {process.container}"
    if process.exe:
        yield f"{indent}exe       {process.exe}"
    if process.cmdline:
        yield f"{indent}command   {shortened(' '.join(process.cmdline))}"
    if parents:
        chain = " ← ".join(f"{parent.name or '?'} {parent.pid}" for parent in parents)
        yield f"{indent}started by {chain}"


def _peer_lines(found: Report, most: int) -> Iterator[str]:
    plural = "s" if found.connections != 1 else ""
    yield f"{found.connections} connection{plural} on local port {found.port}, by peer:"
    for peer in found.peers[:most]:
        yield "  " + _peer_text(peer)
    left = found.peers[most:]
    if left:
        yield f"  … and {sum(peer.count for peer in left)} from {len(left)} more peers (--peers {len(found.peers)})"


def _peer_text(peer: Peer) -> str:
    states = ", ".join(f"{count} {state}" for state, count in peer.states)
    names = sorted({f"{process.name or '?'} {process.pid}" for process in peer.processes})
    more = f" +{len(names) - 3}" if len(names) > 3 else ""
    held = f"  held by {', '.join(names[:3])}{more}" if names else ""
    return f"{peer.address}  {states}{held}"


COMMAND = Command(
    "who",
    "everything about one port: holders, listeners, connections by peer",
    ARGUMENTS,
    run,
    description="Tell who holds a local port, since when and under which parents, how full its backlog is,\n"
    "who could reach it, and its connections by peer.  Exit 1 when nothing has the port.",
    examples="  portside who 8080\n  portside who https\n  portside who 53/udp --json",
)
