"""Connecting and listening: names to addresses, dual-stack listeners, sockets handed over by a manager.

Addresses are tried in getaddrinfo's order (RFC 6724).  A listener without a host takes IPv6 and IPv4 with one socket
where the kernel allows (IPV6_V6ONLY off), with two where it does not.
"""

from __future__ import annotations

import errno
import os
import socket

from portside.errors import BadRequest, NotPermitted, NotSupported, PortsideError, TimedOut
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Prepare = Callable[[socket.socket, "Address"], None]
    Told = Callable[["Address", PortsideError], None]

STREAM, DATAGRAM = int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM)
DCCP = 6  # SOCK_DCCP, include/linux/net.h
V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)
BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn


class Address(Record):
    """Where to connect or listen, as the socket module takes it: family, type, protocol, the address itself."""

    family: int
    type: int
    protocol: int
    place: Any

    def __str__(self) -> str:
        if self.family == socket.AF_UNIX:
            name = os.fsdecode(self.place)
            return "@" + name[1:] if name.startswith("\0") else name
        host, port = self.place[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(
    host: str | None,
    port: int | str,
    *,
    type: int = socket.SOCK_STREAM,
    family: int = 0,
    numeric: bool = False,
    passive: bool = False,
) -> list[Address]:
    """Return the addresses of a host, in the order to try them; `passive` without a host gives the wildcards.

    Raises BadRequest for a name that is none, NotSupported for one that does not resolve now.
    """
    flags = (socket.AI_NUMERICHOST if numeric else 0) | (socket.AI_PASSIVE if passive else 0)
    # bytes: for text Python loads its IDNA codec, which an ASCII name does not need
    name = host.encode() if host is not None and host.isascii() else host
    try:
        found = socket.getaddrinfo(name, port, family, type, 0, flags)
    except socket.gaierror as error:
        if error.errno == socket.EAI_SERVICE:
            raise NotSupported(
                "resolve", f"'{port}'", "there is no such service", errno=error.errno
            ) from error
        raise NotSupported("resolve", f"'{host}'", str(error.strerror).lower(), errno=error.errno) from error
    except (UnicodeError, ValueError, OverflowError) as error:
        raise BadRequest("resolve", f"'{host}'", "this is no host name") from error
    return [Address(each[0], int(each[1]), each[2], each[4]) for each in found]


def unix_address(path: str, type: int = socket.SOCK_STREAM) -> Address:
    """Return the address of a Unix socket; `@name` is an abstract one."""
    return Address(socket.AF_UNIX, type, 0, "\0" + path[1:] if path.startswith("@") else path)


def connect(
    address: Address,
    *,
    timeout: float | None = None,
    source: Address | None = None,
    prepare: Prepare | None = None,
) -> socket.socket:
    """Return a connected socket; `prepare` is given it and the address before.

    Raises what `failure` makes of the kernel's answer.
    """
    made = _made("connect to", address)
    try:
        if source is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(made, source)
        if prepare is not None:
            prepare(made, address)
        made.settimeout(timeout)
        made.connect(address.place)
        made.settimeout(None)
    except OSError as error:
        made.close()
        raise failure("connect to", address, error, timeout) from error
    except BaseException:
        made.close()
        raise
    return made


def connect_any(
    addresses: list[Address],
    *,
    timeout: float | None = None,
    source: Address | None = None,
    prepare: Prepare | None = None,
    on_failure: Told | None = None,
) -> socket.socket:
    """Return a socket connected to the first address that answers; raises the last failure."""
    last: PortsideError = NotSupported("connect", "", "there is no address to try")
    for address in addresses:
        try:
            return connect(address, timeout=timeout, source=source, prepare=prepare)
        except PortsideError as error:
            if error.operation != "connect to":  # what we asked for ourselves: no other address mends it
                raise
            last = error
            if on_failure is not None:
                on_failure(address, error)
    raise last


def listen(
    address: Address, *, backlog: int = BACKLOG, v6only: bool | None = None, prepare: Prepare | None = None
) -> socket.socket:
    """Return a bound socket, listening if it is a stream; `v6only` None leaves the kernel's default."""
    made = _made("listen on", address)
    try:
        if address.family != socket.AF_UNIX:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6 and v6only is not None:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        if prepare is not None:
            prepare(made, address)
        made.bind(address.place)
        if address.type != socket.SOCK_DGRAM:
            made.listen(backlog)
    except OSError as error:
        made.close()
        raise failure("listen on", address, error) from error
    except BaseException:
        made.close()
        raise
    return made


def _made(operation: str, address: Address) -> socket.socket:
    try:
        return socket.socket(address.family, address.type, address.protocol)
    except OSError as error:
        raise failure(operation, address, error) from error


def _bind(made: socket.socket, source: Address) -> None:
    try:
        made.bind(source.place)
    except OSError as error:
        raise failure("bind to", source, error) from error


def names(place: Any, *, numeric: bool = False) -> tuple[str, str]:
    """Return the host and port of an address as getpeername gives it; the host's name unless `numeric`."""
    flags = socket.NI_NUMERICSERV | (socket.NI_NUMERICHOST if numeric else 0)
    try:
        return socket.getnameinfo(place, flags)
    except (OSError, UnicodeError):
        return socket.getnameinfo(place, flags | socket.NI_NUMERICHOST)


def dual_stack() -> bool:
    """Whether one socket of ours can take IPv4 and IPv6."""
    return socket.has_dualstack_ipv6()


def port_of(service: str, protocol: str) -> int | None:
    """Return the port of a service's name, None where it has none."""
    try:
        return socket.getservbyname(service, protocol)
    except (OSError, UnicodeError, ValueError):
        return None


def service_of(port: int, protocol: str) -> str:
    """Return the name of the service that a port is for, empty where it has none."""
    try:
        return socket.getservbyport(port, protocol)
    except OSError:
        return ""


def pass_descriptor(to: int, passed: socket.socket) -> None:
    """Send a copy of a socket over a Unix socket, with one byte beside it (SCM_RIGHTS).  Raises OSError."""
    with socket.socket(fileno=os.dup(to)) as channel:
        socket.send_fds(channel, [b"\0"], [passed.fileno()])


def listen_everywhere(
    port: int, *, type: int = socket.SOCK_STREAM, backlog: int = BACKLOG
) -> list[socket.socket]:
    """Return what takes IPv4 and IPv6 on every address: one dual-stack socket, else one of IPv4."""
    if socket.has_dualstack_ipv6():
        try:
            return [listen(Address(socket.AF_INET6, type, 0, ("::", port)), backlog=backlog, v6only=False)]
        except PortsideError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return [listen(Address(socket.AF_INET, type, 0, ("0.0.0.0", port)), backlog=backlog)]


def failure(operation: str, address: Address, error: OSError, timeout: float | None = None) -> PortsideError:
    """Turn what the kernel said into the error that says what to do."""
    number = error.errno or 0
    reason = os.strerror(number).lower() if number else str(error)
    if isinstance(error, TimeoutError):
        reason = f"no answer in {timeout:g} s" if timeout is not None and not number else "timed out"
        return TimedOut(
            operation, str(address), reason, f"see 'portside why {address}'", errno=number or None
        )
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(operation, str(address), reason, "run it with sudo", errno=number)
    if number == errno.EADDRINUSE:
        port = address.place[1] if isinstance(address.place, tuple) else address
        return NotSupported(operation, str(address), reason, f"see 'portside who {port}'", errno=number)
    return NotSupported(operation, str(address), reason, errno=number or None)
