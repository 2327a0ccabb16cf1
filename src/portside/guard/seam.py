"""The firewall's word on open ports, for `see`: what fills the REACH column, and the `reach` test of filters.

Cheap where there is nothing to say: without a table of rules the bound address decides, and finding that out takes
one netlink dump and no program.  Where rules may not be read the verdict is `unknown`, with what to do, but for what
is bound to loopback.
"""

from __future__ import annotations

from portside.errors import NotPermitted, PortsideError
from portside.see.reach import NOBODY, UNKNOWN, Reach, by_scope
from portside.system import firewall, netns
from portside.system.host import LIVE, Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portside.guard.reach import Listener, Reachability
    from portside.see.ports import OpenPort
    from portside.see.reach import Judge
    from portside.see.records import Socket
    from portside.see.who import Report

_NO_RULES = "there are no firewall rules"


def judge(host: Host = LIVE) -> Judge:
    """Return who judges the ports of a host: its rules where there are any, else the bound address.

    A port of another network namespace is judged by the rules of that.
    """
    if not host.live:
        return by_scope
    judges: dict[str, Judge] = {}  # made when they are asked
    here = ""

    def judge(sockets: Sequence[Socket]) -> Reach:
        nonlocal here
        name = sockets[0].netns
        if name and not here:
            here = str(netns.own(host))
        where = "elsewhere" if name != here and name else "here"
        if where not in judges:
            judges[where] = (_judge_here if where == "here" else _elsewhere)(host)
        return judges[where](sockets)

    return judge


def _elsewhere(host: Host) -> Judge:
    """Return who judges the ports of other network namespaces."""
    from portside.guard.elsewhere import Elsewhere

    spaces = Elsewhere(host)

    def judge(sockets: Sequence[Socket]) -> Reach:
        there = spaces.judge(sockets[0].netns)
        if there.ruleset.unread:
            return _unread(sockets, there.ruleset.unread[0])
        if there.ruleset.empty:
            return _without_rules(sockets)
        return told(there.reach(listener(sockets)), by_scope(sockets))

    return judge


def _judge_here(host: Host) -> Judge:
    try:
        if not firewall.any_tables(host):
            return _without_rules
    except NotPermitted:
        return lambda sockets: _unread(sockets, "reading the firewall's rules takes root; run it with sudo")
    except PortsideError as error:
        reason = str(error)
        return lambda sockets: _unread(sockets, reason)
    return _by_rules(host)


def _without_rules(sockets: Sequence[Socket]) -> Reach:
    found = by_scope(sockets)
    return found.replace(because=found.because.replace("firewall not consulted", _NO_RULES))


def _unread(sockets: Sequence[Socket], why: str) -> Reach:
    found = by_scope(sockets)
    return found if found in (NOBODY, UNKNOWN) else Reach("unknown", "unknown", why)


def _by_rules(host: Host) -> Judge:
    """Return who judges by the rules in force; they are read when the first port is asked for."""
    from portside.guard import reach, reading

    made: list[reach.Judge] = []

    def judge(sockets: Sequence[Socket]) -> Reach:
        found = by_scope(sockets)
        if found.verdict == "unknown":
            return found
        if not made:
            made.append(reach.Judge(reading.read_rules(host), reading.read_environment(host)))
        return told(made[0].reach(listener(sockets)), found)

    return judge


def listener(sockets: Sequence[Socket]) -> Listener:
    """Return what the rules are asked about, for the sockets of one port."""
    from portside.guard.packet import number
    from portside.guard.reach import Bound, Listener

    bounds = []
    for socket in sockets:
        local = socket.local
        device = local.device
        if local.address == "::":
            bounds.append(Bound("ip6", None, device))
            if local.v6only is False:
                bounds.append(Bound("ip", None, device))
        elif local.address in ("0.0.0.0", "*"):
            bounds.append(Bound("ip", None, device))
        elif ":" in local.address or "." in local.address:
            family = "ip6" if ":" in local.address else "ip"
            bounds.append(Bound(family, number(local.address), device))
    protocol = "tcp" if sockets[0].protocol == "mptcp" else sockets[0].protocol
    return Listener(protocol, sockets[0].local.port, tuple(dict.fromkeys(bounds)))


def told(found: Reachability, by_address: Reach) -> Reach:
    """Return a verdict in the words of a list."""
    from portside.guard.words import from_where

    if found.verdict == "nobody" and by_address == NOBODY:
        return NOBODY
    source = "this host only" if found.verdict == "nobody" else from_where(found)
    return Reach(found.verdict, source, str(found.because))


def list_ports(
    filter: str = "", *, every_netns: bool = False, host: Host = LIVE, judge: Judge | None = None
) -> list[OpenPort]:
    """Return one row per open port, as `portside list` prints them: `see.api.list_ports`, with the firewall's word.

    `filter` is the filter language; raises BadRequest where it is malformed.  `judge` decides the reach instead.
    """
    from portside.see import api

    return api.list_ports(filter, every_netns=every_netns, host=host, judge=judge or _judge(host))


def who(
    port: int, protocol: str = "", *, every_netns: bool = False, host: Host = LIVE, judge: Judge | None = None
) -> Report:
    """Return everything about one local port: `see.api.who`, with the firewall's word."""
    from portside.see import api

    return api.who(port, protocol, every_netns=every_netns, host=host, judge=judge or _judge(host))


_judge = judge
