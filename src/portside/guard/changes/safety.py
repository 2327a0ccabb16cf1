"""Who gains, who loses, and whether the way we came in stays open: a change judged before it is made.

The symbolic evaluator has both rulesets, as they are and as they would be, so that the answer is about every packet,
not about some that stand for others.  Beside the ports that a wish names, those that have a listener and those that
are translated are compared: a change may do more than its words say.
"""

from __future__ import annotations

from portside.guard import portclasses
from portside.guard.bdd import EMPTY
from portside.guard.difference import MAY_LOSE, MOVES, OTHERWISE, Asked, Compared, Comparison, compare
from portside.guard.environment import IPV4, IPV6, LOCAL
from portside.guard.packet import NO, number
from portside.guard.reach import Judge
from portside.guard.words import is_link_local
from portside.system import admin_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.changes.scene import Scene
    from portside.guard.changes.wish import Wish
    from portside.guard.environment import Environment
    from portside.guard.model import Ruleset
    from portside.guard.state import Value
    from portside.system.admin_session import Session

_MOST_TRANSLATED = 16  # spans of ports that are translated


def judges(before: Ruleset, after: Ruleset, environment: Environment) -> tuple[Judge, Judge]:
    """Return the judges of the rules as they are and as they would be, whose sets can be compared."""
    old = Judge(before, environment)
    return old, Judge(after, environment, beside=old)


def changed(pair: tuple[Judge, Judge], wish: Wish, scene: Scene) -> Compared:
    """Return who gains and who loses, by port."""
    compared = compare(*pair, _asked(pair, wish, scene))
    more = [len(portclasses.translated(judge.ruleset)) - _MOST_TRANSLATED for judge in pair]
    return compared.replace(left=compared.left + max(0, *more))


def _asked(pair: tuple[Judge, Judge], wish: Wish, scene: Scene) -> Iterator[Asked]:
    for protocol, ports in wish.ports:
        yield Asked(protocol, ports.first, ports.last)
    for listener in scene.listening:
        yield Asked(listener.protocol, listener.port, listener.port, listener.bounds)
    for judge in pair:
        for first, _ in portclasses.translated(judge.ruleset)[:_MOST_TRANSLATED]:
            for protocol in ("tcp", "udp"):
                yield Asked(protocol, first, first)


def lock_out(pair: tuple[Judge, Judge]) -> str:
    """Return why a change may cut the connection we came by, empty where it does not.

    Asked is for a new connection from the same client: at the port of its session, and at every port that is
    translated to it.
    """
    session = admin_session.find()
    if session is None:
        return ""
    before, after = pair
    ports = {session.server_port}
    for judge in pair:
        if judge.front_ports(session.server_port):
            ports.update(first for first, _ in portclasses.translated(judge.ruleset))
    for port in sorted(ports, key=lambda one: one != session.server_port):
        if why := _lost(before, after, session, port):
            return f"the connection you came by ({session}) {why}"
    return ""


def _lost(before: Judge, after: Judge, session: Session, port: int) -> str:
    """Return what becomes worse for the session's client at one port, empty where nothing does."""
    family = IPV6 if ":" in session.client else IPV4
    environment, client = before.environment, number(session.client)
    device = environment.device(_comes_by(environment, family, client, session))
    if device is None or not device.up:
        return ""
    space, manager = before.engine(family).space, before.engine(family).manager
    scope = space.within("saddr", [(client, client)])
    old = before.crossing(device, "tcp", family, port)
    new = after.crossing(device, "tcp", family, port)
    if port == session.server_port:
        server = number(session.server)
        scope = manager.both(scope, space.within("daddr", [(server, server)]))
    elif not any(
        _leads_to(one.state.values["dport"], session.server_port) and manager.both(one.node, scope) != EMPTY
        for one in old.arrivals
    ):
        return ""
    found = list(Comparison(old, new, scope, "tcp").told(scope))
    for one in sorted(found, key=lambda one: one.after != NO):
        if one.after == NO:
            return f"would be cut off: {one.because}"
        if one.word == MOVES:
            return f"would be led to {one.goes_to or 'this host itself'}: {one.because}"
        if one.word in (MAY_LOSE, OTHERWISE):
            return f"could not be told to stay reachable ({one.after}): {one.because}"
    return ""


def _leads_to(found: Value, port: int) -> bool:
    """Whether a port, or one of several, may be this one."""
    return found == port or (isinstance(found, tuple) and found[0] <= port <= found[1])


def _comes_by(environment: Environment, family: str, client: int, session: Session) -> str:
    """Return the interface by which a session's client comes in."""
    if environment.address_type(family, client) == LOCAL:
        return "lo"
    if family == IPV6 and is_link_local(client):
        own = environment.own(family)
        return next((name for value, name in own if value == number(session.server)), "")
    way = environment.way(family, client)
    return way.device if way is not None else ""
