"""Socket options by their own names, put on a socket before it connects or listens.

Reference: socket(7), ip(7), ipv6(7), tcp(7), RFC 791 (source routes); numbers that Python does not name are those of
include/uapi/linux.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from portside.errors import BadRequest, NotPermitted, NotSupported
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IP_MINTTL, IPV6_MINHOPCOUNT = 21, 73  # in.h, in6.h
TCP_MD5SIG, TCP_MD5SIG_MAXKEYLEN = 14, 80  # tcp.h: struct tcp_md5sig
# ip.h: IPOPT_LSRR, IPOPT_NOP, IPOPT_MINOFF; 40 bytes in all
_LSRR, _NOP, _ROUTE_START, _MOST_HOPS = 131, 1, 4, 8
_MD5SIG = "128sBBHi80s"  # sockaddr_storage, flags, prefixlen, keylen, ifindex, key


class SocketOptions(Record):
    """What differs from the kernel's defaults; None leaves them.

    `tos` is the IPv4 type of service and the IPv6 traffic class, `ttl` the outgoing TTL or hop limit, `least_ttl` the
    lowest that is taken; buffers are in bytes; `route` are IPv4 addresses to go by, the target last.
    """

    reuse_port: bool = False
    keep_alive: bool = False
    broadcast: bool = False
    debug: bool = False
    tos: int | None = None
    ttl: int | None = None
    least_ttl: int | None = None
    receive_buffer: int | None = None
    send_buffer: int | None = None
    route: tuple[str, ...] = ()
    route_pointer: int = _ROUTE_START


def apply(made: socket.socket, options: SocketOptions) -> None:
    """Put the options on a socket; raises NotPermitted, NotSupported, BadRequest with the option as its subject."""
    for subject, level, name, value in _wanted(options, made.family == socket.AF_INET6):
        try:
            made.setsockopt(level, name, value)
        except (OSError, OverflowError) as error:
            raise _refused(subject, error) from error
    if options.route:
        try:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, _loose_route(options))
        except OSError as error:
            raise _refused("source route", error) from error


def _loose_route(options: SocketOptions) -> bytes:
    """Return the IPv4 option Loose Source and Record Route; the kernel takes no other pointer than 4."""
    if len(options.route) > _MOST_HOPS + 1:
        raise BadRequest("set", "source route", f"it has more than {_MOST_HOPS} hops")
    places = b"".join(map(socket.inet_aton, options.route))
    return bytes((_NOP, _LSRR, len(places) + 3, options.route_pointer)) + places


def _wanted(options: SocketOptions, v6: bool) -> list[tuple[str, int, int, int]]:
    ip = socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP
    table = [
        ("SO_REUSEPORT", socket.SOL_SOCKET, socket.SO_REUSEPORT, options.reuse_port or None),
        ("SO_KEEPALIVE", socket.SOL_SOCKET, socket.SO_KEEPALIVE, options.keep_alive or None),
        ("SO_BROADCAST", socket.SOL_SOCKET, socket.SO_BROADCAST, options.broadcast or None),
        ("SO_DEBUG", socket.SOL_SOCKET, socket.SO_DEBUG, options.debug or None),
        ("IPv6 traffic class", ip, socket.IPV6_TCLASS, options.tos)
        if v6
        else ("IP ToS", ip, socket.IP_TOS, options.tos),
        ("TCP receive buffer size", socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer),
        ("TCP send buffer size", socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer),
        ("IPv6 unicast hops", ip, socket.IPV6_UNICAST_HOPS, options.ttl)
        if v6
        else ("IP TTL", ip, socket.IP_TTL, options.ttl),
        ("IPv6 min hop count", ip, IPV6_MINHOPCOUNT, options.least_ttl)
        if v6
        else ("IP min TTL", ip, IP_MINTTL, options.least_ttl),
    ]
    return [(subject, level, name, int(value)) for subject, level, name, value in table if value is not None]


def sign(made: socket.socket, place: tuple[Any, ...], password: bytes) -> None:
    """Sign every segment to and from an address (RFC 2385).  Raises as `apply`."""
    host, port = place[:2]
    packed = struct.pack("=H", made.family) + struct.pack(">H", port)
    if made.family == socket.AF_INET6:
        packed += struct.pack(">I16s", 0, socket.inet_pton(made.family, host.partition("%")[0]))
    else:
        packed += socket.inet_pton(made.family, host)
    key = struct.pack(_MD5SIG, packed, 0, 0, len(password), 0, password[:TCP_MD5SIG_MAXKEYLEN])
    try:
        made.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, key)
    except OSError as error:
        raise _refused("TCP_MD5SIG", error) from error


def _refused(subject: str, error: Exception) -> NotPermitted | NotSupported:
    number = getattr(error, "errno", None) or errno.EINVAL
    reason = os.strerror(number).lower()
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted("set", subject, reason, "run it with sudo", errno=number)
    return NotSupported("set", subject, reason, errno=number)
