"""Hobbit's nc, `--as traditional` (Debian's netcat-traditional 1.10), and busybox's, `--as busybox` (1.35).

Both listen with `-l -p PORT` and run a program with -e.  Traditional tells the peer of the end of its input with -q
alone, busybox always; both end as soon as the peer has ended.  What was typed is read by `hobbit_options`.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.faces.nc.hobbit_options import BUSYBOX, BUSYBOX_USAGE, TRADITIONAL, Typed, parse
from portside.faces.nc.words import Refused, judge, reason, tell
from portside.use import sockets
from portside.use.netcat.talk import PIECE, Talk, talk
from portside.use.options import SocketOptions, apply
from portside.use.relay.ends import End, SocketEnd
from portside.use.relay.flow import AFTER, LINES
from portside.use.relay.rules import AtEof, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from portside.use.netcat.dump import Dump


def run(words: list[str], dialect: str) -> int:
    """Run as one of the two; returns the exit code, raises Refused."""
    typed = parse(words, dialect)
    try:
        with _dumped(typed) as dump:
            if typed.has("f"):
                return _device(typed, typed.values["f"])
            return _listen(typed, dump) if typed.has("l") else _connect(typed, dump)
    except PortsideError as error:
        from portside.use.netcat.dump import Unkept

        if isinstance(error, Unkept):
            raise Refused(f"ofd write err : {reason(error)}") from error
        raise Refused(f"nc: {reason(error)}" if dialect == BUSYBOX else f"{error}") from error


def _dumped(typed: Typed) -> Dump:
    from portside.use.netcat.dump import Dump

    path = typed.values.get("o", "")
    try:
        return Dump(directed=path)
    except PortsideError as error:
        raise Refused(f"can't open {path} : {reason(error)}") from error


def _how(typed: Typed, dump: Dump | None = None) -> Talk:
    quits = typed.number("q", "quit time")
    busybox = typed.dialect == BUSYBOX
    waits = None if busybox else typed.number("w", "wait-time")
    rules = Rules(
        at_eof=(AtEof(busybox or quits is not None, quits), AtEof(False, 0.0, drains=True)),
        idle=None if waits is None else float(waits),
        pace=float(typed.number("i", "interval time") or 0),
    )
    piece = PIECE if typed.has("u") else 0
    pauses = (AFTER, AFTER) if busybox else (LINES, AFTER)
    return Talk(
        rules=rules, crlf=typed.has("C"), telnet=typed.has("t"), piece=piece, pauses=pauses, dump=dump
    )


def _session(typed: Typed, connection: socket, dump: Dump) -> tuple[int, int]:
    """Talk over a connection, or become the program of -e or -c; returns how many bytes went out and came in."""
    _become(typed, connection.fileno())
    if typed.has("u"):
        from portside.use.netcat.datagrams import DatagramEnd

        relay = talk(DatagramEnd(connection), _how(typed, dump))
    else:
        relay = talk(SocketEnd(connection), _how(typed, dump))
    judge(relay)
    return relay.totals


def _total(typed: Typed, sent: int, received: int) -> None:
    if typed.flags.get("v", 0) > 1:
        tell(f" sent {sent}, rcvd {received}")


def _become(typed: Typed, descriptor: int) -> None:
    command = typed.values.get("c") or typed.values.get("e")
    if command:
        from portside.system import children

        children.replace(command, descriptor, shell=typed.has("c"))


def _device(typed: Typed, path: str) -> int:
    """Talk over what is at a path (-f): a serial line, say; over until that ends."""
    import os

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"nc: can't open '{path}': {reason(error)}") from error
    _become(typed, descriptor)
    how = _how(typed)
    here, there = how.rules.at_eof
    rules = how.rules.replace(at_eof=(here.replace(tell=False), there))
    judge(talk(End(descriptor, os.dup(descriptor)), how.replace(rules=rules)))
    return 0


def _kind(typed: Typed) -> int:
    return sockets.DATAGRAM if typed.has("u") else sockets.STREAM


def _prepare(typed: Typed, target: sockets.Address | None = None) -> Any:
    options = SocketOptions(broadcast=typed.has("b"), keep_alive=typed.has("k"), tos=typed.tos)
    if target is not None and typed.hops:
        route = (*(_resolved(typed, hop)[0].place[0] for hop in typed.hops), target.place[0])
        options = options.replace(route=route, route_pointer=typed.pointer)
    return lambda made, _address: apply(made, options)


def _named(typed: Typed, place: Any) -> str:
    """Return `name [address]`, the name as the resolver has it."""
    numeric = place[0].removeprefix("::ffff:")
    name = "" if typed.has("n") else sockets.names(place)[0]
    return f"{name if name and name != place[0] else '(UNKNOWN)'} [{numeric}]"


def _listen(typed: Typed, dump: Dump) -> int:
    port = typed.number("p", "local port") or 0
    host = typed.values.get("s")
    traditional = typed.dialect == TRADITIONAL
    if traditional or not sockets.dual_stack():
        address = sockets.resolve(host or "0.0.0.0", port, type=_kind(typed), family=sockets.V4)[0]
        address = address.replace(place=(address.place[0], port))
    else:
        address = sockets.Address(sockets.V6, _kind(typed), 0, ("::", port))
    try:
        bound = sockets.listen(
            address, backlog=1, v6only=None if traditional else False, prepare=_prepare(typed)
        )
    except PortsideError as error:
        shown = f"{address.place[0]}:{port}"
        raise Refused(
            f"Can't grab {shown} with bind : {reason(error)}" if traditional else f"nc: {error}"
        ) from error
    if typed.has("v") or (traditional and not port):
        tell(f"listening on [{host or 'any'}] {bound.getsockname()[1]} ...")
    with bound:
        while True:
            _total(typed, *_session(typed, _accepted(typed, bound), dump))
            if typed.flags.get("l", 0) < 2:
                return 0


def _accepted(typed: Typed, bound: socket) -> socket:
    bound.settimeout(typed.number("w", "wait-time") or None)
    try:
        connection, peer = _first(typed, bound)
    except TimeoutError as error:
        busybox = typed.dialect == BUSYBOX
        raise Refused("nc: timed out" if busybox else "no connection : Connection timed out") from error
    bound.settimeout(None)
    if typed.has("v"):
        tell(f"connect to [{connection.getsockname()[0]}] from {_named(typed, peer)} {peer[1]}")
    return connection


def _first(typed: Typed, bound: socket) -> tuple[socket, Any]:
    if not typed.has("u"):
        return bound.accept()
    from portside.use.netcat.datagrams import wait_for_peer

    return bound, wait_for_peer(bound)


def _connect(typed: Typed, dump: Dump) -> int:
    from portside.faces.nc.openbsd import ports_of

    busybox, host = typed.dialect == BUSYBOX, typed.operands[0]
    words = typed.operands[1:]
    if not words and not busybox:
        raise Refused("no port[s] to connect to")
    if busybox and len(words) > 1:
        raise Refused(BUSYBOX_USAGE)
    kind = "udp" if typed.has("u") else "tcp"
    try:
        ports = ports_of(words or ("23",), kind, shuffled=typed.has("r"))
        if not (busybox or typed.has("r")):  # from the last of each range to its first
            ports = [port for word in words for port in reversed(ports_of((word,), kind, shuffled=False))]
    except Refused as error:
        raise Refused(f"nc: bad port '{words[0]}'" if busybox else f"invalid port {words[0]}") from error
    waits = typed.number("w", "wait-time") or None
    sent = received = 0
    code = 1 if len(ports) == 1 else 0  # of several ports the model tells nothing by its exit code
    for port in ports:
        connection = _reached(typed, host, port, waits, loud=len(ports) == 1 or typed.flags.get("v", 0) > 1)
        if connection is None:
            continue
        code = 0
        if typed.has("z"):
            connection.close()
        else:
            there, here = _session(typed, connection, dump)
            sent, received = sent + there, received + here
    _total(typed, sent, received)
    return code


def _reached(typed: Typed, host: str, port: int, waits: int | None, *, loud: bool) -> socket | None:
    busybox = typed.dialect == BUSYBOX
    found, source = _resolved(typed, host, port), None
    if typed.has("p") or typed.has("s"):
        local = typed.number("p", "local port") or 0
        source = sockets.resolve(
            typed.values.get("s"), local, type=_kind(typed), family=found[0].family, passive=True
        )[0]
    shown = f"{_named(typed, found[0].place)} {port} ({sockets.service_of(port, 'tcp') or '?'})"
    try:
        made = sockets.connect_any(found[:1], timeout=waits, source=source, prepare=_prepare(typed, found[0]))
    except PortsideError as error:
        if error.operation == "set":
            raise Refused(f"{error}") from error
        if busybox:
            raise Refused(
                f"nc: can't connect to remote host ({found[0].place[0]}): {reason(error)}"
            ) from error
        if loud:
            tell(f"{shown} : {reason(error)}")
        return None
    if typed.has("v"):
        tell(f"{shown} open")
    return made


def _resolved(typed: Typed, host: str, port: int = 0) -> list[sockets.Address]:
    busybox, numeric = typed.dialect == BUSYBOX, typed.has("n")
    try:
        return sockets.resolve(
            host, port, type=_kind(typed), family=0 if busybox else sockets.V4, numeric=numeric
        )
    except PortsideError as error:
        if busybox:
            raise Refused(f"nc: bad address '{host}'") from error
        unknown = f"{host}: forward host lookup failed: Unknown host"
        raise Refused(f"Can't parse {host} as an IP address" if numeric else unknown) from error
