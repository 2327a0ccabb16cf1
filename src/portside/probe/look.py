"""One look at one goal: is it open now, and if not, why; never longer than it may take, never an exception.

Every address of a name is tried in turn (RFC 6724), within the one time limit: the first that is open decides, else
the first that said anything.  What a peer sends is read to a bound.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from portside.errors import NotSupported, PortsideError
from portside.ports.address import format_address
from portside.probe import records
from portside.probe.naming import resolve
from portside.probe.sockets import Finding, Opener, finding, judged, meets_itself, pending_icmp, place_of
from portside.record import Record
from portside.system.dialing import dial, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.probe.goals import Goal

_MOST_HEAD = 16384  # bytes of an answer's head
_WIDTHS = {"": 0, "4": 4, "6": 16}
_UNIX_REASONS = {
    errno.ENOENT: "no-such-file",
    errno.ENOTDIR: "no-such-file",
    errno.ECONNREFUSED: "conn-refused",
    errno.EACCES: "not-permitted",
    errno.EPERM: "not-permitted",
    errno.EAGAIN: "backlog-full",
    errno.ENOTSOCK: "not-a-socket",
}


class Manner(Record):
    """How to look.

    `timeout`: seconds for one look.  `statuses`: the HTTP statuses that count, empty for 200 to 399.  `insecure`: do
    not verify certificates; `authority`: by this file alone.  `payload`: what UDP is asked with, None for what the
    port's usual service understands (`probe.payloads`).
    """

    timeout: float = 3.0
    statuses: tuple[int, ...] = ()
    insecure: bool = False
    authority: str = ""
    payload: bytes | None = None
    pin: str = ""


class Verdict(Record):
    """What a look found: `target` as it was named, the address that decided, and the reason.

    `rtt` in seconds, of the connection or the answer; `detail` is what else the peer said: status, TLS version.
    """

    target: str
    address: str
    open: bool
    reason: str
    rtt: float | None = None
    detail: str = ""

    @property
    def known(self) -> bool:
        """Whether the goal itself is what the reason speaks of, not this host."""
        return self.reason != records.LOCAL_ERROR


def look(goal: Goal, manner: Manner) -> Verdict:
    """Return what is so now."""
    deadline = time.monotonic() + manner.timeout
    try:
        if goal.kind == "file":
            there = os.path.exists(goal.path)
            return Verdict(goal.text, goal.path, there, "exists" if there else "no-such-file")
        if goal.socket_path:
            return _unix(goal, manner, deadline)
        return _any_address(goal, manner, deadline)
    except PortsideError as error:  # a zone that is no interface
        return Verdict(goal.text, "", False, records.LOCAL_ERROR, detail=error.reason)
    except OSError as error:
        return Verdict(goal.text, "", False, records.LOCAL_ERROR, detail=_reason(error))


def _any_address(goal: Goal, manner: Manner, deadline: float) -> Verdict:
    host, _, zone = goal.host.partition("%")
    raws = resolve(host, _WIDTHS[goal.family])
    if not raws:
        return Verdict(goal.text, "", False, "no-such-host", detail=f"'{host}' has no address")
    told = None
    for number, raw in enumerate(raws):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        until = time.monotonic() + left / (len(raws) - number)
        verdict = _one_address(goal, manner, raw, zone, until)
        if verdict.open:
            return verdict
        if told is None or told.reason == records.NO_RESPONSE:
            told = verdict
    return told or Verdict(goal.text, format_address(raws[0]), False, records.NO_RESPONSE)


def _one_address(goal: Goal, manner: Manner, raw: bytes, zone: str, until: float) -> Verdict:
    if goal.kind == "udp":
        return _udp(goal, manner, raw, zone, until)
    address = format_address(raw)
    began = time.monotonic()
    with Opener(socket.SOCK_STREAM).open(len(raw)) as used:
        told = _connected(used, raw, zone, goal.port, until)
        rtt = time.monotonic() - began if told.reason != records.NO_RESPONSE else None
        if told.state != records.OPEN:
            detail = f"from {told.source}" if told.source else ""
            if told.state == records.UNKNOWN:
                detail = os.strerror(told.errno).lower()
            return Verdict(goal.text, address, False, told.reason, rtt, detail)
        return _spoken(goal, manner, used, address, rtt, until)


def _connected(used: socket.socket, raw: bytes, zone: str, port: int, until: float) -> Finding:
    code, icmp = dial(used, place_of(raw, zone, port), until)
    if code is None:
        return Finding(records.FILTERED, records.NO_RESPONSE)
    told = judged(code, icmp, raw)
    if code == 0 and meets_itself(used):
        return Finding(records.CLOSED, records.SELF_CONNECT)
    return told


def _spoken(
    goal: Goal, manner: Manner, used: socket.socket, address: str, rtt: float | None, until: float
) -> Verdict:
    """Go on over an open connection: TLS, a request, or nothing."""
    if goal.kind == "tcp":
        return Verdict(goal.text, address, True, records.SYN_ACK, rtt)
    used.settimeout(max(0.001, until - time.monotonic()))
    if goal.kind == "http":
        return _request(goal, manner, used, address, rtt, until)
    import ssl

    from portside.system.tls import Tls, client_context, why

    wish = Tls(verify=not manner.insecure, ca=manner.authority, pin=manner.pin)
    try:
        with client_context(wish).wrap_socket(used, server_hostname=goal.host) as made:
            wish.require_pin(made)
            version = made.version() or ""
            if goal.kind == "tls":
                return Verdict(goal.text, address, True, "tls", rtt, version)
            return _request(goal, manner, made, address, rtt, until)
    except ssl.SSLCertVerificationError as error:
        return Verdict(goal.text, address, False, "certificate", rtt, error.verify_message)
    except NotSupported as error:  # another key than the pinned one
        return Verdict(goal.text, address, False, "certificate", rtt, error.reason)
    except TimeoutError:
        return Verdict(goal.text, address, False, "no-tls", rtt, "no answer to the handshake")
    except (OSError, ValueError) as error:
        return Verdict(goal.text, address, False, "no-tls", rtt, why(error))


def _request(
    goal: Goal, manner: Manner, used: socket.socket, address: str, rtt: float | None, until: float
) -> Verdict:
    """Ask for the path, read the status line, judge it (RFC 9112)."""
    host = f"[{goal.host}]" if ":" in goal.host else goal.host
    shown = host if goal.port in (0, 80, 443) else f"{host}:{goal.port}"
    head = f"GET {goal.path} HTTP/1.1\r\nHost: {shown}\r\nUser-Agent: portside\r\nAccept: */*\r\n"
    try:
        used.sendall(f"{head}Connection: close\r\n\r\n".encode("utf-8", "surrogateescape"))
        status = _status(used, until)
    except TimeoutError:
        return Verdict(goal.text, address, False, "no-http", rtt, "no answer to the request")
    except OSError as error:
        return Verdict(goal.text, address, False, "no-http", rtt, _reason(error))
    if status is None:
        return Verdict(goal.text, address, False, "no-http", rtt, "the answer is not HTTP")
    good = status in manner.statuses if manner.statuses else 200 <= status <= 399
    return Verdict(goal.text, address, good, f"http-{status}", rtt)


def _status(used: socket.socket, until: float) -> int | None:
    """Return the status of the first final answer (1xx are passed over), None for what is no HTTP."""
    buffer = b""
    while len(buffer) < _MOST_HEAD:
        end = buffer.find(b"\r\n\r\n")
        line = buffer.partition(b"\n")[0].rstrip(b"\r")
        if b"\n" in buffer:
            words = line.split(b" ", 2)
            if not (
                words[0].startswith(b"HTTP/") and len(words) > 1 and len(words[1]) == 3 and words[1].isdigit()
            ):
                return None
            status = int(words[1])
            if not 100 <= status < 200 or status == 101:
                return status
            if end >= 0:
                buffer = buffer[end + 4 :]
                continue
        used.settimeout(max(0.001, until - time.monotonic()))
        piece = used.recv(4096)
        if not piece:
            return None
        buffer += piece
    return None


def _udp(goal: Goal, manner: Manner, raw: bytes, zone: str, until: float) -> Verdict:
    """Ask, a few times; open is what answers."""
    from portside.probe.payloads import by_port

    address = format_address(raw)
    asked = (one.ask for one in by_port().get(goal.port, ()))
    questions = [manner.payload] if manner.payload is not None else list(asked) or [b""]
    with Opener(socket.SOCK_DGRAM).open(len(raw)) as used:
        code = used.connect_ex(place_of(raw, zone, goal.port))
        pause = 0.25
        while not code:
            began = time.monotonic()
            try:
                for question in questions:
                    used.send(question)
                if wait(used, select.POLLIN, min(until, began + pause)):
                    used.recv(65535)
                    return Verdict(goal.text, address, True, records.UDP_RESPONSE, time.monotonic() - began)
            except OSError as error:
                code = error.errno or errno.EIO
            pause *= 2
            if time.monotonic() >= until:
                return Verdict(
                    goal.text, address, False, records.NO_RESPONSE, detail="silent, as UDP services may be"
                )
        told = pending_icmp(used, raw) or finding(used, code, raw)
        detail = f"from {told.source}" if told.source else ""
        reason = "port-unreach" if told.reason == records.CONN_REFUSED else told.reason
        return Verdict(goal.text, address, False, reason, detail=detail)


def _unix(goal: Goal, manner: Manner, deadline: float) -> Verdict:
    path = "\0" + goal.socket_path[1:] if goal.socket_path.startswith("@") else goal.socket_path
    began = time.monotonic()
    code = errno.EPROTOTYPE
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as used:
            try:
                code = used.connect_ex(path)
            except (OSError, ValueError) as error:  # longer than sun_path
                return Verdict(goal.text, goal.socket_path, False, records.LOCAL_ERROR, detail=_reason(error))
            rtt = time.monotonic() - began
            if code == 0 and goal.kind == "unix":
                return Verdict(goal.text, goal.socket_path, True, "connected", rtt)
            if code == 0:
                used.settimeout(max(0.001, deadline - time.monotonic()))
                return _request(goal, manner, used, goal.socket_path, rtt, deadline)
        if code != errno.EPROTOTYPE:
            break
    reason = _UNIX_REASONS.get(code, records.LOCAL_ERROR)
    return Verdict(goal.text, goal.socket_path, False, reason, detail=os.strerror(code).lower())


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    reason = getattr(error, "reason", None)
    if isinstance(reason, str) and reason:
        return reason.replace("_", " ").lower()
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else str(error).lower()
