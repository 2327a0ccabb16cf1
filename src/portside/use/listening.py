"""The sockets behind a place to listen: loopback, every address, one name, a Unix path, an inherited descriptor."""

from __future__ import annotations

import errno
import os
import socket
import stat

from portside.errors import BadRequest, PortsideError
from portside.use import sockets
from portside.use.activation import listen_fds
from portside.use.places import EVERYWHERE, FD, UDP, UNIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.places import Place

_LOOPBACK = ("127.0.0.1", "::1")
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def inherited() -> dict[str, list[socket.socket]]:
    """Return the sockets a service manager passed, by number (`3`) and by name, which several may share."""
    found: dict[str, list[socket.socket]] = {}
    for one in listen_fds():
        passed = one.socket()
        found[str(one.descriptor)] = [passed]
        if one.name:
            found.setdefault(one.name, []).append(passed)
    return found


def listen_at(place: Place, passed: dict[str, list[socket.socket]]) -> list[socket.socket]:
    """Return the bound sockets, listening if they are streams; `passed` is what a manager has (`inherited`)."""
    if place.transport == FD:
        return _taken(place, passed)
    if place.transport == UNIX:
        return [_unix(place)]
    kind = socket.SOCK_DGRAM if place.transport == UDP else socket.SOCK_STREAM
    if place.host == EVERYWHERE:
        number = place.port if isinstance(place.port, int) else _number(place.port)
        return sockets.listen_everywhere(number, type=kind)
    made: list[socket.socket] = []
    try:
        for host in (place.host,) if place.host else _LOOPBACK:
            port: int | str = made[0].getsockname()[1] if made and not place.port else place.port
            made += _named(host, port, kind, optional=bool(made) and not place.host)
    except PortsideError:
        for each in made:
            each.close()
        raise
    return made


def _number(service: str) -> int:
    found: int = sockets.resolve(None, service, passive=True)[0].place[1]
    return found


def _named(host: str, port: int | str, kind: int, *, optional: bool) -> list[socket.socket]:
    try:
        found = sockets.resolve(host, port, type=kind, passive=True)
        return [
            sockets.listen(address, v6only=address.family == socket.AF_INET6 or None) for address in found
        ]
    except PortsideError as error:
        if optional and error.errno in _NO_IPV6:
            return []
        raise


def _taken(place: Place, passed: dict[str, list[socket.socket]]) -> list[socket.socket]:
    if place.name not in passed:
        told = ", ".join(f"fd:{name}" for name in sorted(passed)) or "none"
        raise BadRequest("listen on", f"'{place}'", f"no such socket was passed to us (passed: {told})")
    return [each.dup() for each in passed[place.name]]


def _unix(place: Place) -> socket.socket:
    """Listen at a path; one that nobody listens at any more is taken over."""
    address = sockets.unix_address(place.name)
    try:
        return sockets.listen(address)
    except PortsideError as error:
        if error.errno != errno.EADDRINUSE or not _is_stale(place.name):
            raise
    os.unlink(place.name)
    return sockets.listen(address)


def _is_stale(path: str) -> bool:
    if path.startswith("@") or not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == errno.ECONNREFUSED


def forget_path(place: Place) -> None:
    """Take away the path of a Unix socket that we made."""
    if place.transport == UNIX and not place.name.startswith("@"):
        try:
            os.unlink(place.name)
        except OSError:
            pass


def addresses_of(place: Place) -> list[sockets.Address]:
    """Return where a target is now.  Raises PortsideError; asks the resolver, which may take its time."""
    if place.transport == UNIX:
        return [sockets.unix_address(place.name)]
    kind = socket.SOCK_DGRAM if place.transport == UDP else socket.SOCK_STREAM
    hosts = (place.host,) if place.host else _LOOPBACK
    return [address for host in hosts for address in sockets.resolve(host, place.port, type=kind)]
