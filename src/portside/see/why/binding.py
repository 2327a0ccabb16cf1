"""Why a port cannot be bound: it is tried, in both protocols and families, with and without SO_REUSEADDR, and what
the kernel answers is explained by who has the port.

A bind is refused for a socket of the same protocol whose family and address overlap: any address overlaps with
all, and an IPv6 socket that is not IPv6's alone is IPv4's too.  The port is let go of at once.
"""

from __future__ import annotations

import errno
import os

from portside.ports.number import merge_ranges
from portside.see.why.local import place_text
from portside.see.why.scene import Scene, holder_text, mine
from portside.see.why.steps import FAILED, PASSED, UNKNOWN, Step, as_root, plural
from portside.system import attempt
from portside.system.attempt import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portside.see.records import Socket

ANY = ("0.0.0.0", "::")
_NO_IPV6 = errno.EAFNOSUPPORT
# what stands most in the way first
_ORDER = ("listen", "bound-inactive", "unconnected", "established", "close-wait", "fin-wait-2", "time-wait")
_MAPPED = "::ffff:"


def steps(scene: Scene, addresses: Sequence[str] = ANY) -> Iterator[Step]:
    """Yield the steps of the question why a port cannot be bound, on these addresses."""
    tried = [
        (target, attempt.bind(target, reuse=False), attempt.bind(target, reuse=True))
        for protocol in scene.protocols
        for target in (Target(address, scene.port, protocol) for address in addresses)
    ]
    yield _privilege(scene, {code for _, plain, _ in tried for code in (plain,)})
    yield _range(scene)
    for target, plain, reusing in tried:
        yield explain(scene, target, plain, reusing)


def _privilege(scene: Scene, answers: set[int]) -> Step:
    ranges = scene.ranges
    assert ranges is not None
    start = ranges.unprivileged_start
    if not ranges.needs_privilege(scene.port):
        return Step(
            "privilege", PASSED, f"{scene.port} is not below {start}, the first port that anybody may bind"
        )
    evidence = (
        f"{scene.port} is below {start}, the first port that anybody may bind: it takes CAP_NET_BIND_SERVICE"
    )
    if errno.EACCES in answers:
        return Step("privilege", FAILED, f"{evidence}, which this user has not", _lower_start(scene.port))
    return Step("privilege", PASSED, f"{evidence}, which this user has")


def _lower_start(port: int) -> str:
    return as_root(f"sysctl -w net.ipv4.ip_unprivileged_port_start={port}")


def _range(scene: Scene) -> Step:
    ranges, port = scene.ranges, scene.port
    assert ranges is not None
    if ranges.is_ephemeral(port):
        evidence = (
            f"{port} is inside the ephemeral range {ranges.ephemeral}: the kernel may give it to any outgoing"
            " connection before a server binds it"
        )
        kept = ",".join(map(str, merge_ranges([*ranges.reserved, type(ranges.ephemeral)(port, port)])))
        return Step("range", FAILED, evidence, as_root(f"sysctl -w net.ipv4.ip_local_reserved_ports={kept}"))
    if ranges.is_reserved(port):
        return Step(
            "range", PASSED, f"{port} is reserved: the kernel gives it to nobody who does not ask for it"
        )
    return Step("range", PASSED, f"{port} is outside the ephemeral range {ranges.ephemeral}")


def explain(scene: Scene, target: Target, plain: int, reusing: int) -> Step:
    """Return the step of one attempt: what bind(2) answered without and with SO_REUSEADDR, and because of whom."""
    name = f"bind {target.protocol}"
    facts = tuple(
        (key, errno.errorcode.get(code) if code else None)
        for key, code in (("error", plain), ("error_with_reuseaddr", reusing))
    )
    if not plain:
        return Step(name, PASSED, f"port {target.port} can be bound", target=target.address, facts=facts)
    outcome, evidence, mend = _reason(scene, target, plain, reusing)
    return Step(name, outcome, evidence, mend, target.address, facts)


def _reason(scene: Scene, target: Target, plain: int, reusing: int) -> tuple[str, str, str]:
    if plain == errno.EADDRINUSE:
        return _in_use(scene, target, reusing)
    if plain == errno.EACCES and scene.ranges is not None and scene.ranges.needs_privilege(target.port):
        evidence = f"permission denied (EACCES): below {scene.ranges.unprivileged_start} a bind takes a right"
        return FAILED, evidence, _lower_start(target.port)
    if plain in (errno.EACCES, errno.EPERM):
        word = errno.errorcode[plain]
        return FAILED, f"refused ({word}): a security module, or a BPF program of this cgroup, forbids it", ""
    if plain == errno.EADDRNOTAVAIL:
        from portside.see.why.addresses import not_available

        return FAILED, *not_available(target.address)
    if plain == _NO_IPV6:
        return UNKNOWN, "this kernel has no IPv6", ""
    return UNKNOWN, f"{os.strerror(plain).lower()} ({errno.errorcode.get(plain, plain)})", ""


def culprits(scene: Scene, target: Target) -> list[Socket]:
    """Return the sockets that overlap with an attempt, what stands most in the way first."""
    found = [socket for socket in scene.of(target.protocol) if _overlaps(socket, target)]
    return sorted(found, key=lambda one: _ORDER.index(one.state) if one.state in _ORDER else len(_ORDER))


def _overlaps(socket: Socket, target: Target) -> bool:
    address, mapped = socket.local.address, socket.local.address.startswith(_MAPPED)
    if target.v6:
        family = socket.family == "inet6" and not mapped
    else:
        family = socket.family == "inet" or mapped or (address == "::" and socket.local.v6only is not True)
    wanted = target.address.partition("%")[0]
    return family and (wanted in ANY or address in ANY or address.removeprefix(_MAPPED) == wanted)


def _in_use(scene: Scene, target: Target, reusing: int) -> tuple[str, str, str]:
    found = culprits(scene, target)
    said = "address already in use (EADDRINUSE)"
    free = f"portside free {target.port}/{target.protocol} --yes"
    shadows = [socket for socket in found if socket.state == "time-wait"]
    if not found:
        gap = f"; not seen: {scene.gaps[0].what}" if scene.gaps else ""
        return FAILED, f"{said}, by a socket that was not there when we looked{gap}", ""
    if shadows and len(shadows) == len(found):
        evidence = f"{said}: {plural(len(shadows), 'closed connection')} in TIME_WAIT, for a minute at most"
        evidence += ", which a server with SO_REUSEADDR does not mind" if not reusing else ""
        return FAILED, evidence, as_root(f"{free} --socket")
    first = found[0]
    evidence = f"{said}: {_holding(first)}"
    more = len(found) - 1
    evidence += f" (and {plural(more, 'other socket')})" if more else ""
    evidence += "; with SO_REUSEADDR it can be bound" if not reusing else ""
    if first.state in ("listen", "bound-inactive", "unconnected"):
        return FAILED, evidence, free if mine(first) else as_root(free)
    kill = f"ss -K '( sport = :{target.port} )'"
    return FAILED, evidence, as_root(kill)


def _holding(socket: Socket) -> str:
    """Return what a socket does with the port, and whose it is."""
    who = holder_text(socket)
    if socket.state == "listen":
        return f"{who} listens on {place_text(socket)}"
    if socket.state == "bound-inactive":
        return f"{who} has bound {place_text(socket)} and does not listen"
    if socket.state == "unconnected":
        return f"{who} waits for datagrams on {place_text(socket)}"
    remote = socket.remote
    return (
        f"a connection to {remote.address} port {remote.port} ({socket.state}) of {who} has it as its own end"
    )
