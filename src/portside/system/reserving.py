"""Ports kept for who asked: leases that the kernel holds for a minute, and whether a port can be bound.

A lease on port R is one TCP address of loopback's 16 million: 127.112.HI.LO, R's two bytes, at a port of the leases'
own (LEASE_PORTS).  bind(2) is the check and the lock in one: who could bind that address has the lease, everybody
else in the network namespace gets EADDRINUSE, whoever they are.  `keep` turns the bound socket into the shadow of a
connection that it closed first: TIME_WAIT, which the kernel keeps for 60 seconds (TCP_TIMEWAIT_LEN in
include/net/tcp.h) without a process, a file or a right, and then forgets.

Port R itself is not touched by this: whoever was given it can bind it on every address, with SO_REUSEADDR or without.
Nobody without the lease tries to bind R either, so no test of a port can disturb its owner.
"""

from __future__ import annotations

import _socket as socket  # see system.netlink
import errno
import os

from portside.errors import BadRequest, NotPermitted, NotSupported, PortsideError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 60  # how long a lease lasts
# Unassigned, outside the usual ephemeral range.  The second is for hosts where a program has the first.
LEASE_PORTS = (29555, 29777)
_NETWORK = "127.112"
_PATIENCE = 2.0  # seconds for a connection on loopback, which takes microseconds

_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Lease:
    """The lease on one port, held while this object is open; `keep` leaves it to the kernel."""

    def __init__(self, port: int, held: socket.socket) -> None:
        self.port = port
        self._held = held
        self._at = held.getsockname()

    def keep(self, *, hold_at: Sequence[str] = ()) -> None:
        """Let the kernel hold the lease for 60 seconds, and the port itself on the numeric addresses of `hold_at`.

        There the kernel gives the port to nobody by itself, and who binds it must set SO_REUSEADDR.  Raises
        NotSupported where the kernel would not keep it.
        """
        for address in hold_at:
            _hold(self.port, address)
        _leave_in_time_wait(self._held)
        again = _try_to_bind(self._at)
        if again is not None:
            again.close()
            reason = "the kernel keeps no connection in TIME_WAIT"
            raise NotSupported(
                "lease", f"port {self.port}", reason, "raise the sysctl net.ipv4.tcp_max_tw_buckets"
            )

    def drop(self) -> None:
        """Give the lease back."""
        self._held.close()


def _hold(port: int, address: str) -> None:
    """Leave a port in TIME_WAIT on one address; a host without IPv6 has none to hold there."""
    family, _, place = _numeric(address, port, socket.SOCK_STREAM)
    if (
        family == socket.AF_INET6
        and _errno_of_binding(family, socket.SOCK_STREAM, place, reuse=False) in _NO_IPV6
    ):
        return
    held = _try_to_bind(place, family)
    if held is None:
        raise NotSupported("hold", f"port {port}", "somebody has taken it meanwhile", "try again")
    _leave_in_time_wait(held)


def take_lease(port: int, lease_port: int) -> Lease | None:
    """Return the lease on `port`, None while somebody else has it; `lease_port` comes from `find_lease_port`."""
    held = _try_to_bind((_address(port), lease_port))
    return None if held is None else Lease(port, held)


def find_lease_port() -> int:
    """Return the first of LEASE_PORTS that no program of this host has taken for itself.

    Raises NotSupported where there is none.
    """
    for port in LEASE_PORTS:
        held = _try_to_bind((_address(0), port), share=True)
        if held is not None:
            held.close()
            return port
    numbers = " and ".join(map(str, LEASE_PORTS))
    raise NotSupported(
        "lease", "ports", f"programs have taken {numbers}, where leases are kept",
        f"see 'portside who {LEASE_PORTS[0]}'",
    )  # fmt: skip


def why_not_bindable(port: int, protocol: str, address: str = "", *, reuse: bool = False) -> int:
    """Bind a port and let go of it at once: return 0, or the errno of what stood in the way.

    Without an address it is bound on every one, IPv4 and IPv6; `reuse` sets SO_REUSEADDR, as most servers do.
    Raises BadRequest for what is no address.
    """
    if address:
        return _errno_of_binding(*_numeric(address, port, _TYPES[protocol]), reuse)
    for place in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        failed = _errno_of_binding(place[0], _TYPES[protocol], (place[1], port), reuse)
        if failed not in _NO_IPV6:
            break
    return failed


def _numeric(address: str, port: int, kind: int) -> tuple[int, int, tuple[object, ...]]:
    """Return family, type and socket address of a numeric address (with a zone, where it has one)."""
    try:
        found = socket.getaddrinfo(address, port, 0, kind, 0, socket.AI_NUMERICHOST)[0]
    except (OSError, UnicodeError):
        raise BadRequest("bind", f"'{address}'", "it is not a numeric address") from None
    return found[0], found[1], found[4]


def _errno_of_binding(family: int, kind: int, place: tuple[object, ...], reuse: bool) -> int:
    try:
        attempt = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return error.errno
        raise _failed(error) from error
    try:
        if reuse:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and place[0] == "::":
            attempt.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        attempt.bind(place)
        return 0
    except OSError as error:
        return error.errno or errno.EINVAL
    finally:
        attempt.close()


def _address(port: int) -> str:
    return f"{_NETWORK}.{port >> 8}.{port & 0xFF}"


def _try_to_bind(
    place: tuple[object, ...], family: int = socket.AF_INET, *, share: bool = False
) -> socket.socket | None:
    """Return a TCP socket bound to a local address, None where it is taken."""
    held = _socket(family)
    try:
        if share:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(place)
    except OSError as error:
        held.close()
        if error.errno != errno.EADDRINUSE:
            raise _failed(error) from error
        return None
    return held


def _leave_in_time_wait(held: socket.socket) -> None:
    """Connect a bound socket to one beside it and close it first: its address stays taken, and no other."""
    listener = _socket(held.family)
    try:
        # set after bind, so that who checks a lease meets it, and who sets the option too (a server) does not
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((held.getsockname()[0], 0))
        listener.listen(1)
        held.settimeout(_PATIENCE)
        held.connect(listener.getsockname())
        accepted, _ = listener._accept()  # type: ignore[attr-defined]  # what socket.accept calls
        held.close()
        os.close(accepted)
    except OSError as error:
        raise _failed(error) from error
    finally:
        held.close()
        listener.close()


def _socket(family: int) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise _failed(error) from error


def _failed(error: OSError) -> PortsideError:
    """Say why loopback does not carry a lease."""
    number = error.errno
    reason = os.strerror(number).lower() if number else str(error)
    what = "lease", "ports"
    if number in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EHOSTUNREACH) or isinstance(
        error, TimeoutError
    ):
        reason = f"there is no connection on loopback to {_NETWORK}.0.0/16: {reason}"
        return NotSupported(*what, reason, "bring it up: ip link set lo up", errno=number)
    if number in (errno.EMFILE, errno.ENFILE):
        return NotSupported(*what, reason, "raise the limit on open files (ulimit -n)", errno=number)
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(*what, reason, "something confines this process's sockets", errno=number)
    return NotSupported(*what, reason, errno=number)
