"""Why a local port cannot be connected to: what is bound, whether it listens, whether its holder runs, its queue.

Each step is a function of a `Scene`.  They stop where the rest would make no sense: nothing that is not bound has
a queue.
"""

from __future__ import annotations

from portside.see.why.scene import Scene, holder_text
from portside.see.why.steps import FAILED, PASSED, UNKNOWN, Step, as_root, plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.see.records import Socket


_NAMED = 3  # network namespaces that are named


def steps(scene: Scene) -> Iterator[Step]:
    """Yield the steps of the walk to a local port."""
    yield _bound(scene)
    if not scene.open:
        if scene.elsewhere or scene.gaps:
            yield _namespace(scene)
        return
    listeners = [socket for socket in scene.of("tcp") if socket.state == "listen"]
    if "tcp" in scene.protocols and any(socket in scene.of("tcp") for socket in scene.open):
        yield _listening(scene, listeners)
    yield _owner(scene)
    if listeners:
        yield _backlog(scene, listeners)
        yield _overflow(scene, listeners)


def place_text(socket: Socket) -> str:
    """Return where a socket is bound: `127.0.0.1 (loopback)`."""
    local = socket.local
    address = f"{local.address}%{local.device}" if local.device else local.address
    return f"{address} ({local.scope})" if local.scope else address


def takes(scene: Scene, address: str) -> bool:
    """Whether a socket that has the port is bound to this address, or to any."""
    wanted = address.partition("%")[0]
    return any(
        one.local.address == wanted
        or (one.local.address == "::" and (":" in wanted or one.local.v6only is not True))
        or (one.local.address == "0.0.0.0" and ":" not in wanted)
        for one in scene.open
    )  # fmt: skip


def forward_target(scene: Scene) -> str:
    """Return where a relay would have to lead: the first address the port is bound to."""
    local = scene.open[0].local
    return f"[{local.address}]:{local.port}" if ":" in local.address else f"{local.address}:{local.port}"


def _bound(scene: Scene) -> Step:
    if not scene.open:
        word = "/".join(scene.protocols)
        evidence = f"nothing in this network namespace is bound to port {scene.port} ({word})"
        if scene.here:
            evidence += (
                f"; {plural(len(scene.here), 'connection')} of others have the number as their own end"
            )
        return Step("bound", FAILED, evidence)
    told = dict.fromkeys(
        f"{socket.protocol} on {place_text(socket)}: {holder_text(socket)}" for socket in scene.open
    )
    addresses = tuple(dict.fromkeys(socket.local.address for socket in scene.open))
    return Step("bound", PASSED, "; ".join(told), facts=(("addresses", list(addresses)),))


def _namespace(scene: Scene) -> Step:
    """Tell of the same port in another network namespace, where connections from here do not lead."""
    if not scene.elsewhere:
        gap = scene.gaps[0]
        return Step("namespace", UNKNOWN, f"not seen: {gap.what}: {gap.why}", _as_other_user(scene.port))
    first = scene.elsewhere[0]
    spaces = {socket.netns: socket for socket in reversed(scene.elsewhere)}
    told = [
        f"{name} has it: {socket.protocol} on {place_text(socket)}, {holder_text(socket)}"
        for name, socket in [*spaces.items()][:_NAMED]
    ]
    told += [f"{len(spaces) - _NAMED} more have it"] if len(spaces) > _NAMED else []
    path = dict(scene.paths).get(first.netns, "")
    mend = as_root(f"nsenter --net={path} portside why {scene.port} --to connect") if path else ""
    evidence = f"another network namespace: {'; '.join(told)}; connections from here do not lead there"
    return Step("namespace", FAILED, evidence, mend, facts=(("netns", first.netns),))


def _as_other_user(port: int) -> str:
    """Return the command that sees more, empty for root."""
    command = f"portside why {port}"
    return "" if as_root(command) == command else as_root(command)


def _listening(scene: Scene, listeners: list[Socket]) -> Step:
    if listeners:
        count = plural(len(listeners), "socket")
        return Step("listening", PASSED, f"{count} in state listen")
    bound = next(socket for socket in scene.of("tcp") if socket in scene.open)
    evidence = (
        f"{holder_text(bound)} called bind and not listen: connections are refused, and nobody else can bind"
    )
    return Step("listening", FAILED, evidence, _free(scene, "tcp"))


def _free(scene: Scene, protocol: str) -> str:
    return as_root(f"portside free {scene.port}/{protocol} --yes")


def _owner(scene: Scene) -> Step:
    held = {owner.pid: owner.process for socket in scene.open for owner in socket.owners}
    if not held:
        first = scene.open[0]
        if first.owner_gap == "permission":
            return Step("owner", UNKNOWN, holder_text(first), _as_other_user(scene.port))
        return Step("owner", PASSED, f"{holder_text(first)}: there is no process that could be stopped")
    stopped = [held[pid] for pid in scene.stopped if pid in held]
    names = ", ".join(f"{one.name or '?'} {one.pid}" for one in stopped)
    pids = " ".join(str(one.pid) for one in stopped)
    if stopped and len(stopped) == len(held):
        evidence = f"{names}: stopped (state T), so that nobody accepts connections or reads datagrams"
        facts = (("stopped", list(scene.stopped)),)
        return Step("owner", FAILED, evidence, as_root(f"kill -CONT {pids}"), facts=facts)
    if stopped:
        evidence = f"{len(stopped)} of {plural(len(held), 'holder')} stopped (state T): {names}"
        return Step("owner", UNKNOWN, evidence, as_root(f"kill -CONT {pids}"))
    return Step("owner", PASSED, f"{plural(len(held), 'process')}, none of them stopped")


def _backlog(scene: Scene, listeners: list[Socket]) -> Step:
    """The kernel takes one more than the limit (sk_acceptq_is_full), and drops what comes then."""
    full = [
        one for one in listeners
        if one.backlog is not None and one.backlog.limit is not None and one.backlog.used > one.backlog.limit
    ]  # fmt: skip
    told = "; ".join(f"{_queue_text(one)} on {one.local.address}" for one in full or listeners)
    if not full:
        return Step("backlog", PASSED, f"{told}")
    stopped = [owner.pid for one in full for owner in one.owners if owner.pid in scene.stopped]
    if stopped:
        return Step(
            "backlog", FAILED, f"full: {told}; its holder is stopped",
            as_root(f"kill -CONT {' '.join(map(str, dict.fromkeys(stopped)))}"),
        )  # fmt: skip
    evidence = (
        f"full: {told}; the program does not accept fast enough, or has given up: new connections are dropped"
    )
    return Step("backlog", FAILED, evidence, _restart(full[0], scene))


def _queue_text(socket: Socket) -> str:
    if socket.backlog is None:
        return "unknown"
    limit = "?" if socket.backlog.limit is None else socket.backlog.limit
    return f"{socket.backlog.used} of {limit} waiting to be accepted"


def _restart(socket: Socket, scene: Scene) -> str:
    """Return what starts the program anew, or ends it, so that it can be."""
    unit = socket.unit if socket.unit.endswith(".service") else ""
    return as_root(f"systemctl restart {unit}") if unit else _free(scene, "tcp")


def _overflow(scene: Scene, listeners: list[Socket]) -> Step:
    counts = dict(scene.dropped)
    here = sum(counts.get(one.cookie, 0) for one in listeners)
    whole = f"this namespace has counted {scene.overflows} overflows and {scene.drops} drops"
    facts = (("dropped", here), ("ListenOverflows", scene.overflows), ("ListenDrops", scene.drops))
    growing = [one for one in listeners if one.cookie in scene.dropping]
    if growing:
        evidence = f"overflowing: {plural(here, 'connection')} dropped, and more while we looked; {whole}"
        stopped = [owner.pid for one in growing for owner in one.owners if owner.pid in scene.stopped]
        mend = (
            as_root(f"kill -CONT {' '.join(map(str, stopped))}") if stopped else _restart(growing[0], scene)
        )
        return Step("overflow", FAILED, evidence, mend, facts=facts)
    if here:
        return Step(
            "overflow", PASSED, f"not now; {plural(here, 'connection')} dropped before; {whole}", facts=facts
        )
    return Step("overflow", PASSED, f"no connection was dropped; {whole}", facts=facts)
