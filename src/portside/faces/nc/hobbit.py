"""Hobbit's nc, `--as traditional` (Debian's netcat-traditional 1.10), and busybox's, `--as busybox` (1.35).

Both listen with `-l -p PORT` and run a program with -e.  Traditional tells the peer of the end of its input with -q
alone, busybox always; both end as soon as the peer has ended.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.faces.getopt import Unknown, getopt
from portside.faces.nc.words import Refused, judge, reason, tell
from portside.record import Record
from portside.use import sockets
from portside.use.netcat.talk import PIECE, Talk, talk
from portside.use.options import SocketOptions, apply
from portside.use.relay.ends import SocketEnd
from portside.use.relay.flows import AFTER, LINES
from portside.use.relay.rules import AtEof, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

TRADITIONAL, BUSYBOX = "traditional", "busybox"
_LETTERS = {TRADITIONAL: "bCc:e:g:G:hi:klno:p:q:rs:T:tuvw:z", BUSYBOX: "e:f:i:lp:w:"}
_BUSYBOX_USAGE = """\
Usage: nc [-iN] [-wN] [-l] [-p PORT] [-f FILE|IPADDR PORT] [-e PROG]

Open a pipe to IP:PORT or FILE

\t-l\tListen mode, for inbound connects
\t\t(use -ll with -e for persistent server)
\t-p PORT\tLocal port
\t-w SEC\tConnect timeout
\t-i SEC\tDelay interval for lines sent
\t-e PROG\tRun PROG after connect"""
_REFUSED = "gGfTo"
_LAST_PORT = 65535


class Typed(Record):
    """What was typed: how often each flag, the values, the operands."""

    dialect: str
    flags: dict[str, int]
    values: dict[str, str]
    operands: tuple[str, ...]

    def has(self, letter: str) -> bool:
        """Whether a flag was given."""
        return letter in self.flags or letter in self.values

    def number(self, letter: str, what: str) -> int | None:
        """Return a value as a number above nought (-q: from nought), None where it was not given; raises Refused."""
        text = self.values.get(letter)
        if text is None:
            return None
        numeric = text.isascii() and text.isdecimal() and len(text) < 10
        if letter == "p" and numeric and int(text) > _LAST_PORT:
            numeric = False
        least = 1 if self.dialect == TRADITIONAL and letter != "q" else 0
        if not numeric or int(text) < least:
            if self.dialect == BUSYBOX:
                raise Refused(f"nc: bad port '{text}'" if letter == "p" else f"nc: invalid number '{text}'")
            raise Refused(f"invalid {what} {text}")
        return int(text)


def run(words: list[str], dialect: str) -> int:
    """Run as one of the two; returns the exit code, raises Refused."""
    typed = _parse(words, dialect)
    try:
        return _listen(typed) if typed.has("l") else _connect(typed)
    except PortsideError as error:
        raise Refused(f"nc: {reason(error)}" if dialect == BUSYBOX else f"{error}") from error


def _parse(words: list[str], dialect: str) -> Typed:
    usage = ("nc -h for help",) if dialect == TRADITIONAL else (_BUSYBOX_USAGE,)
    try:
        found, operands = getopt(words, _LETTERS[dialect], None)
    except Unknown as error:
        raise Refused(f"nc: {error}", *usage) from None
    flags: dict[str, int] = {}
    for letter, value in found:
        if value is None:
            flags[letter] = flags.get(letter, 0) + 1
    typed = Typed(
        dialect, flags, {letter: value for letter, value in found if value is not None}, tuple(operands)
    )
    for letter in _REFUSED:
        if typed.has(letter):
            raise Refused(f"nc: -{letter} is not supported here", *usage)
    if typed.has("h"):
        raise Refused(f"[v1.10-47]\nnc [-{_LETTERS[dialect].replace(':', '')}] hostname port[s]", code=0)
    typed.number("i", "interval time")
    typed.number("w", "wait-time")
    if not operands and not typed.has("l"):
        traditional = "no destination" if found else "Cmd line: wrong"
        raise Refused(*((traditional,) if dialect == TRADITIONAL else usage))
    return typed


def _how(typed: Typed) -> Talk:
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
    return Talk(rules=rules, crlf=typed.has("C"), telnet=typed.has("t"), piece=piece, pauses=pauses)


def _session(typed: Typed, connection: socket) -> None:
    """Talk over a connection, or become the program of -e or -c."""
    command = typed.values.get("c") or typed.values.get("e")
    if command:
        from portside.system import children

        children.replace(command, connection.fileno(), shell=typed.has("c"))
    if typed.has("u"):
        from portside.use.netcat.datagrams import DatagramEnd

        judge(talk(DatagramEnd(connection), _how(typed)))
    else:
        judge(talk(SocketEnd(connection), _how(typed)))


def _kind(typed: Typed) -> int:
    return sockets.DATAGRAM if typed.has("u") else sockets.STREAM


def _prepare(typed: Typed) -> Any:
    options = SocketOptions(broadcast=typed.has("b"), keep_alive=typed.has("k"))
    return lambda made, _address: apply(made, options)


def _named(typed: Typed, place: Any) -> str:
    """Return `name [address]`, the name as the resolver has it."""
    numeric = place[0].removeprefix("::ffff:")
    name = "" if typed.has("n") else sockets.names(place)[0]
    return f"{name if name and name != place[0] else '(UNKNOWN)'} [{numeric}]"


def _listen(typed: Typed) -> int:
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
            _session(typed, _accepted(typed, bound))
            if typed.flags.get("l", 0) < 2:
                return 0


def _accepted(typed: Typed, bound: socket) -> socket:
    if typed.has("u"):
        from portside.use.netcat.datagrams import wait_for_peer

        connection, peer = bound, wait_for_peer(bound)
    else:
        connection, peer = bound.accept()
    if typed.has("v"):
        tell(f"connect to [{connection.getsockname()[0]}] from {_named(typed, peer)} {peer[1]}")
    return connection


def _connect(typed: Typed) -> int:
    from portside.faces.nc.openbsd import ports_of

    busybox, host = typed.dialect == BUSYBOX, typed.operands[0]
    words = typed.operands[1:]
    if not words and not busybox:
        raise Refused("no port[s] to connect to")
    if busybox and len(words) > 1:
        raise Refused(_BUSYBOX_USAGE)
    try:
        ports = ports_of(words or ("23",), "udp" if typed.has("u") else "tcp", shuffled=typed.has("r"))
    except Refused as error:
        raise Refused(f"nc: bad port '{words[0]}'" if busybox else f"invalid port {words[0]}") from error
    waits = typed.number("w", "wait-time") or None
    code = 1 if len(ports) == 1 else 0  # of several ports the model tells nothing by its exit code
    for port in ports:
        connection = _reached(typed, host, port, waits, loud=len(ports) == 1 or typed.flags.get("v", 0) > 1)
        if connection is None:
            continue
        code = 0
        if typed.has("z"):
            connection.close()
        else:
            _session(typed, connection)
    return code


def _reached(typed: Typed, host: str, port: int, waits: int | None, *, loud: bool) -> socket | None:
    busybox = typed.dialect == BUSYBOX
    try:
        found = sockets.resolve(
            host, port, type=_kind(typed), family=0 if busybox else sockets.V4, numeric=typed.has("n")
        )
    except PortsideError as error:
        unknown = f"Can't parse {host} as an IP address"
        other = unknown if typed.has("n") else f"{host}: forward host lookup failed: Unknown host"
        raise Refused(f"nc: bad address '{host}'" if busybox else other) from error
    source = None
    if typed.has("p") or typed.has("s"):
        local = typed.number("p", "local port") or 0
        source = sockets.resolve(
            typed.values.get("s"), local, type=_kind(typed), family=found[0].family, passive=True
        )[0]
    shown = f"{_named(typed, found[0].place)} {port} ({sockets.service_of(port, 'tcp') or '?'})"
    try:
        made = sockets.connect_any(found[:1], timeout=waits, source=source, prepare=_prepare(typed))
    except PortsideError as error:
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
