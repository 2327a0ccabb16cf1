"""Why a host cannot be connected to, for every address: name, way there, this host's limits, the attempt, TLS.

A step that fails does not end the walk: the kernel may know a way that the tables do not show, and the attempt says
more than any table.  Only without an address, or without a way to it, there is nothing to try.
"""

from __future__ import annotations

import errno
import os

from portside.errors import PortsideError
from portside.see.why import ways
from portside.see.why.limits import limits
from portside.see.why.steps import FAILED, PASSED, UNKNOWN, Step, as_root
from portside.system import attempt
from portside.system.attempt import Attempt, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # who knows the firewall's rules says what they do to a connection from an address to a target
    Firewall = Callable[[Target, str], Step]

_SPOKEN = 60  # bytes of what a server said first


def steps(
    host: str, port: int, protocol: str, *, timeout: float, tls: bool, firewall: Firewall | None = None
) -> Iterator[Step]:
    """Yield the steps of the walk to HOST:PORT; raises BadRequest for what is no host name."""
    named, targets = resolved(host, port, protocol)
    yield named
    walked = [(target, ways.step(target), [*limits(target)]) for target in targets]
    made = attempt.connect_all(targets, timeout)
    for (target, way, local), tried in zip(walked, made, strict=True):
        yield way
        yield from local
        yield from _tried(target, tried, host, timeout, tls, firewall)


def resolved(host: str, port: int, protocol: str) -> tuple[Step, tuple[Target, ...]]:
    """Return the step of the name, and every address it stands for; raises BadRequest for what is no name."""
    try:
        targets = attempt.resolve(host, port, protocol)
    except PortsideError as error:
        if type(error) is not PortsideError:
            raise
        evidence = f"'{host}' has no address: {error.reason}"
        return Step("name", FAILED, evidence, _name_mend(error.errno), facts=(("addresses", []),)), ()
    addresses = [target.address for target in targets]
    numeric = len(addresses) == 1 and addresses[0] == host
    evidence = f"{host} is an address" if numeric else f"{host} is {', '.join(addresses)}"
    return Step("name", PASSED, evidence, facts=(("addresses", addresses),)), targets


def _name_mend(number: int | None) -> str:
    """Return how to go on where no name server answered: the first of them is looked into in turn."""
    server = attempt.name_server() if number == attempt.TRY_AGAIN else ""
    return f"portside why {Target(server, 53)}" if server else ""


def _tried(
    target: Target, made: Attempt, host: str, timeout: float, tls: bool, firewall: Firewall | None
) -> Iterator[Step]:
    step = _connect(target, made, timeout)
    yield step
    if step.outcome == FAILED and ways.is_own(target.address):
        if firewall is not None:
            yield firewall(target, made.source_address)
        yield from _own(target)
    if tls and step.outcome == PASSED:
        yield _hello(target, host, timeout)


def _connect(target: Target, made: Attempt, timeout: float) -> Step:
    facts = (
        ("seconds", round(made.seconds, 6)),
        ("error", errno.errorcode.get(made.errno) if made.errno else None),
        ("source", made.source or None),
        ("icmp", _icmp(made)),
    )
    outcome, evidence, mend = _judged(target, made, timeout)
    return Step("connect", outcome, evidence, mend, target.address, facts)


def _icmp(made: Attempt) -> dict[str, object] | None:
    error = made.error
    if error is None or not error.origin.startswith("icmp"):
        return None
    return {"family": error.origin, "type": error.type, "code": error.code, "sender": error.sender or None}


def _judged(target: Target, made: Attempt, timeout: float) -> tuple[str, str, str]:
    """Return outcome, evidence and mend of an attempt."""
    if made.outcome == attempt.CONNECTED:
        return _reached(target, made)
    if made.outcome == attempt.SILENT:
        return UNKNOWN, f"a datagram to {target} was sent, and nothing came back in {timeout:g} s", ""
    if made.outcome == attempt.TIMED_OUT:
        where = "the way, or the host is down"
        if ways.is_own(target.address):
            where = "this host itself, by its firewall, or because the listener's queue is full"
        evidence = f"no answer from {target} in {timeout:g} s: packets are dropped on {where}"
        told = f"; so far: {_told(made)}" if made.error else ""
        return FAILED, evidence + told, ""
    if made.error is not None and made.error.origin.startswith("icmp"):
        return FAILED, f"{_unreachable(made)} {_told(made)}", ""
    return _refused(target, made)


def _reached(target: Target, made: Attempt) -> tuple[str, str, str]:
    milliseconds = f"{made.seconds * 1000:.1f} ms"
    if made.after == "reset":
        return FAILED, f"{target} took the connection after {milliseconds} and reset it at once", ""
    verb = "connected to" if target.protocol == "tcp" else "answered from"
    evidence = f"{verb} {target} in {milliseconds}"
    if made.after:
        return PASSED, f"{evidence}; the other side closed it at once", ""
    words = made.said[:_SPOKEN].decode("ascii", "replace").partition("\n")[0].strip()
    return PASSED, evidence + (f"; it says '{words}'" if words else ""), ""


def _told(made: Attempt) -> str:
    error = made.error
    assert error is not None
    own = " (this host itself)" if error.sender and ways.is_own(error.sender) else ""
    kind = {"icmp": "ICMP", "icmp6": "ICMPv6"}.get(error.origin, error.origin)
    return f"{kind} type {error.type} code {error.code} ({error.words}) from {error.sender or 'nobody named'}{own}"


def _unreachable(made: Attempt) -> str:
    if made.errno == errno.ECONNREFUSED:
        return "rejected, by a firewall or a host without such a port:"
    return f"{os.strerror(made.errno).lower()}:"


def _refused(target: Target, made: Attempt) -> tuple[str, str, str]:
    """Explain an errno that came without an ICMP message."""
    number = made.errno
    if number == errno.ECONNREFUSED:
        return FAILED, f"{target} refused the connection (RST): nothing listens there", ""
    if number == errno.ECONNRESET:
        return FAILED, f"{target} reset the connection", ""
    if number == errno.EADDRNOTAVAIL:
        evidence = "no own port is left for this destination, or no own address fits (EADDRNOTAVAIL)"
        return FAILED, evidence, as_root('sysctl -w net.ipv4.ip_local_port_range="1024 65535"')
    if number in (errno.EMFILE, errno.ENFILE):
        return FAILED, f"no socket could be opened: {os.strerror(number).lower()}", ""
    if number == errno.EPERM:
        return (
            FAILED,
            "this host's own firewall drops the packet (EPERM, output hook)",
            as_root("nft list ruleset"),
        )
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL):
        return FAILED, f"{os.strerror(number).lower()}: this host sends no packet there", ways.mend_of(target)
    if number == errno.ETIMEDOUT:
        return FAILED, f"no answer from {target}", ""
    return UNKNOWN, f"{os.strerror(number).lower()} ({errno.errorcode.get(number, number)})", ""


def _own(target: Target) -> Iterator[Step]:
    """The target is this host: yield what stands in the way on the side of the listener."""
    from portside.see.why import local
    from portside.see.why.scene import look

    try:
        scene = look(target.port, (target.protocol,))
    except PortsideError as error:
        yield Step("bound", UNKNOWN, str(error), target=target.address)
        return
    for step in local.steps(scene):
        if step.name == "bound" and step.outcome == PASSED and not local.takes(scene, target.address):
            places = ", ".join(dict.fromkeys(local.place_text(socket) for socket in scene.open))
            evidence = f"port {target.port} is bound on {places}, and not on {target.address}"
            mend = f"portside forward {target} {local.forward_target(scene)}"
            yield step.replace(outcome=FAILED, evidence=evidence, mend=mend, target=target.address)
        else:
            yield step.replace(target=target.address)


def _hello(target: Target, host: str, timeout: float) -> Step:
    told = attempt.hello(target, host, timeout)
    if not told.done:
        hint = (
            "" if told.untrusted or told.reason == "no answer" else ": what listens there may not speak TLS"
        )
        key = f"; its key is {told.pin}" if told.pin else ""
        return Step(
            "tls", FAILED, f"no TLS with {target} as '{host}': {told.reason}{hint}{key}", "", target.address
        )
    evidence = f"{told.version} with {told.cipher}, certificate of {told.subject or '?'} until {told.until}"
    facts = (
        ("version", told.version),
        ("cipher", told.cipher),
        ("subject", told.subject),
        ("until", told.until),
        ("pin", told.pin),
    )
    return Step("tls", PASSED, evidence, "", target.address, facts)
