"""Sockets that ask: non-blocking, with an error queue, leaving nothing behind; and what a failed one has to tell."""

from __future__ import annotations

import errno
import os
import socket

from portside.errors import BadRequest, NotPermitted
from portside.ports.address import format_address, parse_address
from portside.probe import records
from portside.record import Record
from portside.system import dialing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.wire.errqueue import ExtendedError

IP_BIND_ADDRESS_NO_PORT = 24  # include/uapi/linux/in.h: the port is chosen by connect(2), of all that fit
RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"  # struct linger: on, no seconds

# This host's own trouble: it passes, and says nothing of the port.
LOCAL_TROUBLE = frozenset(
    (
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.EINTR,
        errno.ECONNABORTED,
    )
)
# What the network said, where no ICMP error was kept: errno -> reason.
_UNREACHABLE = {
    errno.EHOSTUNREACH: "host-unreach",  # the neighbour did not answer (ARP, neighbour discovery)
    errno.ENETUNREACH: "net-unreach",
    errno.EHOSTDOWN: "host-unreach",
    errno.ENONET: "net-unreach",
    errno.ENOPROTOOPT: "proto-unreach",
    errno.EPROTO: "icmp",
    errno.ETIMEDOUT: records.NO_RESPONSE,
}


_MAYBE_ICMP = frozenset((errno.ECONNREFUSED, errno.EACCES, *_UNREACHABLE))


class Finding(Record):
    """What a socket's end says: state and reason, who sent the ICMP error (empty: the target), the errno."""

    state: str
    reason: str
    source: str = ""
    errno: int = 0


REFUSED = Finding(records.CLOSED, records.CONN_REFUSED, "", errno.ECONNREFUSED)


class Opener:
    """Makes sockets of one kind, bound as asked; `source` is an address in text, `device` an interface's name."""

    def __init__(self, kind: int, source: str = "", device: str = "") -> None:
        self.kind = kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self.source = source
        self.device = os.fsencode(device)
        self.width = len(parse_address(source)) if source else 0

    def open(self, width: int) -> socket.socket:
        """Return a socket for addresses of 4 or 16 bytes; OSError where there is none to be had.

        BadRequest, NotPermitted where it cannot be bound as asked.
        """
        family = socket.AF_INET if width == 4 else socket.AF_INET6
        made = socket.socket(family, self.kind)
        dialing.want_errors(made, width == 16)
        if self.device or self.width == width:
            try:
                self._bind(made, width)
            except BaseException:
                made.close()
                raise
        return made

    def _bind(self, made: socket.socket, width: int) -> None:
        subject = os.fsdecode(self.device)
        try:
            if self.device:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device)
            if self.width == width:
                subject = self.source
                made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                made.bind((self.source, 0))
        except PermissionError as error:
            raise NotPermitted(
                "send from", f"'{subject}'", "operation not permitted", "run it with sudo"
            ) from error
        except OSError as error:
            if error.errno in LOCAL_TROUBLE - {errno.EADDRNOTAVAIL}:
                raise
            reason = os.strerror(error.errno or 0).lower()
            raise BadRequest("send from", f"'{subject}'", reason, "see 'ip address'") from error


def interface_index(zone: str) -> int:
    """Return the number of the interface that a zone names or is; BadRequest where there is none."""
    if zone.isascii() and zone.isdecimal() and len(zone) < 10:
        return int(zone)
    try:
        return socket.if_nametoindex(zone)
    except OSError as error:
        raise BadRequest("use zone", f"'{zone}'", "there is no such interface", "see 'ip link'") from error


def place_of(raw: bytes, zone: str, port: int) -> Any:
    """Return the address as the socket module takes it."""
    text = format_address(raw)
    if len(raw) == 4:
        return (text, port)
    return (text, port, 0, interface_index(zone)) if zone else (text, port)


def finding(used: socket.socket, code: int, target: bytes) -> Finding:
    """Return what `code`, the end of an attempt to reach `target`, says of the port; the error queue is read."""
    return judged(code, dialing.queued_icmp(used) if code in _MAYBE_ICMP else None, target)


def judged(code: int, icmp: ExtendedError | None, target: bytes) -> Finding:
    """Return what `code`, the end of an attempt to reach `target`, and the ICMP error behind it say of the port."""
    if icmp is not None:
        return _of_icmp(icmp, target).replace(errno=code)
    if code == errno.ECONNREFUSED:
        return REFUSED
    if code in (0, errno.EISCONN, errno.ECONNRESET, errno.EPIPE):
        return Finding(
            records.OPEN, records.SYN_ACK, "", code
        )  # a reset later on: the handshake was complete
    if code in _UNREACHABLE:
        return Finding(records.FILTERED, _UNREACHABLE[code], "", code)
    return Finding(records.UNKNOWN, records.LOCAL_ERROR, "", code)


def pending_icmp(used: socket.socket, target: bytes) -> Finding | None:
    """Return what an ICMP error in the socket's queue says of the port, None without one."""
    icmp = dialing.queued_icmp(used)
    return None if icmp is None else _of_icmp(icmp, target)


def _of_icmp(icmp: ExtendedError, target: bytes) -> Finding:
    sender = "" if icmp.sender in ("", format_address(target)) else icmp.sender
    reason = records.icmp_reason(4 if icmp.origin == "icmp" else 16, icmp.type, icmp.code)
    return Finding(records.FILTERED, reason, sender)


def meets_itself(used: socket.socket) -> bool:
    """Tell whether a connected socket's two ends are the same."""
    try:
        return bool(used.getsockname() == used.getpeername())
    except OSError:  # reset meanwhile: somebody else was there
        return False


def stays_home(used: socket.socket) -> bool:
    """Tell whether a connected socket's two ends have the same address: the connection is to one's own host."""
    try:
        return bool(used.getsockname()[0] == used.getpeername()[0])
    except OSError:
        return False
