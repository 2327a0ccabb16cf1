"""Ports that are free and stay free for the caller: chosen, tried, and leased for a minute.

A port is given if nobody has a lease on it (`system.reserving`) and it can be bound, in every protocol asked for, on
every address of IPv4 and IPv6.  Candidates lie outside the host's ephemeral range, so the kernel gives them to nobody
by itself, above 10000, and have no name in the registries; they are tried in a random order.  Where somebody names
a range, all of it counts.

What is promised: for 60 seconds no other caller of this network namespace is given the port.  Not promised: that a
program which asks nobody does not bind it.
"""

from __future__ import annotations

import errno
import os

from portside.errors import BadRequest, NotPermitted, NotSupported, PortsideError
from portside.ports.number import LAST_PORT, HostRanges, parse_range
from portside.record import Record
from portside.see.services import service_names
from portside.system import reserving
from portside.system.port_ranges import read_host_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

FIRST = 10000  # below it there are too many customs that no registry knows
PROTOCOLS = ("tcp", "udp")
LOOPBACKS = ("127.0.0.1", "::1")  # held there, a port is not given to who asks for any address either


class Found(Record):
    """What a search gave: the ports, how long they are kept (seconds), which of them the kernel may give away.

    `leased`, `in_use` and `refused` count the candidates that others were given, that somebody has, and that this
    user may not bind.
    """

    ports: tuple[int, ...]
    seconds: int = reserving.SECONDS
    ephemeral: tuple[int, ...] = ()
    leased: int = 0
    in_use: int = 0
    refused: int = 0


def pick(
    *, range: str = "", protocols: Sequence[str] = PROTOCOLS, address: str = "", hold: bool = False
) -> int:
    """Return a free port that nobody else is given for 60 seconds.

    `range` (`A-B`) says where to look, `protocols` what must be free (`tcp`, `udp`), `address` where it is to be
    bound (any).  `hold` has the kernel keep the TCP port as well, on that address or on 127.0.0.1 and ::1: it then
    gives it to nobody by itself there or on the wildcard, and who binds it must set SO_REUSEADDR.

    Raises NotSupported where no port is left, BadRequest for a wrong range, protocol or address, NotPermitted where
    the ports take a right to bind.
    """
    return pick_ports(1, range=range, protocols=protocols, address=address, hold=hold)[0]


def pick_ports(
    count: int,
    *,
    range: str = "",
    protocols: Sequence[str] = PROTOCOLS,
    address: str = "",
    hold: bool = False,
) -> list[int]:
    """Return `count` free ports, all different, that nobody else is given for 60 seconds; see `pick`."""
    found = find(count, range=range, protocols=protocols, address=address, hold=hold)
    if len(found.ports) < count:
        raise shortage(found, count, range)
    return list(found.ports)


def find(
    count: int,
    *,
    range: str = "",
    protocols: Sequence[str] = PROTOCOLS,
    address: str = "",
    hold: bool = False,
) -> Found:
    """Look for `count` ports as `pick` does; without so many none is given, and the counts say why."""
    if not protocols or not set(protocols) <= set(PROTOCOLS):
        raise BadRequest(
            "pick", f"protocols {', '.join(protocols)!r}", "a port is picked for tcp, udp or both"
        )
    if not 1 <= count <= LAST_PORT:
        raise BadRequest("pick", f"{count} ports", f"a number from 1 to {LAST_PORT} can be asked for")
    if hold and "tcp" not in protocols:
        raise BadRequest("pick", "", "a UDP port cannot be held: no trace of its socket stays", "hold tcp")
    hold_at = () if not hold else (address,) if address else LOOPBACKS
    ranges = read_host_ranges()
    candidates = _candidates(range, ranges, service_names())
    search = _Search(protocols, address)
    try:
        search.run(candidates, count)
        if len(search.leases) == count:
            for lease in search.leases:
                lease.keep(hold_at=hold_at)
    finally:
        search.end()
    ports = tuple(lease.port for lease in search.leases) if len(search.leases) == count else ()
    return Found(
        ports,
        ephemeral=tuple(port for port in ports if ranges.is_ephemeral(port)),
        leased=search.leased,
        in_use=search.in_use,
        refused=search.refused,
    )


class _Search:
    """One walk over candidates: the leases taken so far, and why the others were passed over."""

    def __init__(self, protocols: Sequence[str], address: str) -> None:
        self.leases: list[reserving.Lease] = []
        self.leased = self.in_use = self.refused = 0
        self._protocols, self._address = protocols, address

    def run(self, candidates: Iterable[int], count: int) -> None:
        """Take leases until there are `count`, or no candidates left."""
        lease_port = reserving.find_lease_port()
        for port in candidates:
            lease = reserving.take_lease(port, lease_port)
            if lease is None:
                self.leased += 1
            elif self._is_free(port):
                self.leases.append(lease)
            else:
                lease.drop()
            if len(self.leases) == count:
                return

    def end(self) -> None:
        """Give back what was not kept."""
        for lease in self.leases:
            lease.drop()

    def _is_free(self, port: int) -> bool:
        for protocol in self._protocols:
            failed = reserving.why_not_bindable(port, protocol, self._address)
            if failed == errno.EADDRINUSE:
                self.in_use += 1
            elif failed in (errno.EACCES, errno.EPERM):
                self.refused += 1
            elif failed:
                raise _unusable(self._address, failed)
            if failed:
                return False
        return True


def _candidates(text: str, host: HostRanges, name_of: Callable[[int, str], str]) -> Iterator[int]:
    """Yield where to look, in a random order: the range asked for, else what nobody has a claim on."""
    if text:
        chosen = parse_range(text)
        if chosen is None:
            raise BadRequest("pick", f"range '{text}'", "a range is written A-B")
        wanted = range(max(chosen.first, 1), chosen.last + 1)
        yield from (port for port in _shuffled(wanted) if port not in reserving.LEASE_PORTS)
        return
    usual = range(FIRST, LAST_PORT + 1)
    none_yet = True
    for port in _shuffled(usual):
        if port not in host.ephemeral and _unclaimed(port, host) and not name_of(port, ""):
            none_yet = False
            yield port
    if none_yet:  # everything is ephemeral here
        yield from (port for port in _shuffled(usual) if _unclaimed(port, host) and not name_of(port, ""))


def _unclaimed(port: int, host: HostRanges) -> bool:
    """Whether neither the host's administrator nor the leases themselves keep a port."""
    return not (host.is_reserved(port) or host.needs_privilege(port) or port in reserving.LEASE_PORTS)


def _shuffled(ports: Sequence[int]) -> Iterator[int]:
    """Yield each port once: from a random one in steps of a random length that has no factor in common with them."""
    count = len(ports)
    place, step = (int.from_bytes(os.urandom(4)) for _ in range(2))
    while _common(step, count) > 1:
        step += 1
    for turn in range(count):
        yield ports[(place + turn * step) % count]


def _common(a: int, b: int) -> int:
    """Return the greatest common divisor."""
    while b:
        a, b = b, a % b
    return a


def _unusable(address: str, number: int) -> PortsideError:
    reason = os.strerror(number).lower()
    if number == errno.EADDRNOTAVAIL:
        return BadRequest("bind", f"'{address}'", "this host does not have that address", errno=number)
    return NotSupported("bind", f"'{address or 'any address'}'", reason, errno=number)


def shortage(found: Found, count: int, range: str) -> PortsideError:
    """Return the error that says why there were not `count` ports."""
    where = f"{count} port{'s' if count > 1 else ''} " + (
        f"of {range}" if range else "outside the ephemeral range"
    )
    if found.refused and not (found.leased or found.in_use):
        return NotPermitted("pick", where, "binding them takes a right", "run it with sudo")
    reason = f"too few are free: {found.in_use} in use, {found.leased} given to others in the last minute"
    return NotSupported("pick", where, reason, "name a wider range" if range else "try again in a minute")
