"""From what somebody asks (a filter, families, all or open ports) to what to read and what to check here."""

from __future__ import annotations

from portside.record import Record
from portside.see.reach import verdict_of
from portside.see.reading import (
    IP_FAMILIES,
    OPEN_DATAGRAM,
    OPEN_STREAM,
    OTHER_FAMILIES,
    PORT_PROTOCOLS,
    Wish,
)
from portside.system.host import LIVE, Host
from portside.wire import tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portside.see.filter import Expression, Plan
    from portside.see.reach import Judge
    from portside.see.records import Socket

_KINDS = {"tcp": ("tcp", "mptcp", "sctp"), "udp": ("udp", "udplite"), "raw": ("raw", "icmp")}


class Selection(Record):
    """What was chosen beside the filter: every socket or open ones, kinds (empty: the usual), IP families, netns."""

    every: bool = False
    kinds: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    every_netns: bool = False


class Sought(Record):
    """A question made ready: what to read, what to check in Python, whether sockets or ports answer it, and why."""

    wish: Wish
    accept: Callable[[Socket], bool] | None
    sockets: bool
    explanation: tuple[str, ...] = ()


def build(
    text: str = "",
    selection: Selection = Selection(),  # noqa: B008 (frozen)
    host: Host = LIVE,
    judge: Judge | None = None,
) -> Sought:
    """Return the question for a filter text (empty: no filter); raises BadRequest pointing into a wrong one.

    `host` tells the names of services and the numbers of interfaces, `judge` what the `reach` test compares.

    Sockets answer instead of ports when everything or a kind without ports was chosen, or when the filter speaks
    of states or of the other end, which an open port does not have.
    """
    expression, plan, accept = _filter(text, host, host.live and not selection.every_netns, judge)
    portless = any(kind not in ("tcp", "udp") for kind in selection.kinds)
    connections = selection.every or (expression is not None and _speaks_of_connections(expression))
    wish = Wish(
        protocols=_protocols(selection, connections),
        families=_families(selection, connections),
        stream_states=tcp_states.ALL if connections else OPEN_STREAM,
        datagram_states=tcp_states.ALL if connections else OPEN_DATAGRAM,
        plan=plan,
        every_netns=selection.every_netns,
    )
    if "unix" in selection.kinds and not connections:
        accept = _open_unix(accept)
    explanation = tuple(plan.describe()) if plan is not None else ()
    return Sought(wish, accept, connections or portless, explanation)


def _filter(
    text: str, host: Host, here_only: bool, judge: Judge | None
) -> tuple[Expression | None, Plan | None, Callable[[Socket], bool] | None]:
    """Parse, plan and compile the filter; it costs its import only where there is one.

    The numbers of interfaces differ between namespaces: the kernel is given them only when one is read.
    """
    if not text.strip():
        return None, None, None
    from portside.see import filter as language
    from portside.system.sockets import interface_index

    def resolve(name: str) -> tuple[int, ...]:
        return language.registered_ports(name, host.read_or("/etc/services"))

    device_index = interface_index if here_only else None
    expression = language.parse(text, resolve)
    plan = language.plan(expression, device_index=device_index)
    how: dict[str, Any] = {} if judge is None else {"reach_of": lambda socket: verdict_of(socket, judge)}
    return expression, plan, plan.predicate(device_index=device_index, **how)


def _open_unix(accept: Callable[[Socket], bool] | None) -> Callable[[Socket], bool]:
    """Narrow a check to the Unix sockets that others can reach: those that listen, or are bound to a name."""

    def check(socket: Socket) -> bool:
        reachable = socket.state == "listen" or (socket.state == "unconnected" and socket.local.address != "")
        return (socket.family != "unix" or reachable) and (accept is None or accept(socket))

    return check


def _speaks_of_connections(expression: Expression) -> bool:
    """Whether the filter tests a state or the remote end."""
    from portside.see.filter import syntax

    match expression:
        case syntax.And(parts) | syntax.Or(parts):
            return any(_speaks_of_connections(part) for part in parts)
        case syntax.Not(part):
            return _speaks_of_connections(part)
        case syntax.State():
            return True
        case syntax.Port(side) | syntax.Host(side):
            return side in ("dport", "dst")
    return False


def _protocols(selection: Selection, connections: bool) -> tuple[str, ...]:
    if selection.kinds:
        return tuple(name for kind in selection.kinds for name in _KINDS.get(kind, ()))
    return tuple(name for names in _KINDS.values() for name in names) if connections else PORT_PROTOCOLS


def _families(selection: Selection, connections: bool) -> tuple[str, ...]:
    ip = selection.families or IP_FAMILIES
    if selection.kinds:
        asked_ip = any(kind in _KINDS for kind in selection.kinds)
        return (ip if asked_ip else ()) + tuple(kind for kind in selection.kinds if kind in OTHER_FAMILIES)
    return ip + (OTHER_FAMILIES if connections and not selection.families else ())
