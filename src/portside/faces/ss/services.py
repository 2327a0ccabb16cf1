"""Names of ports and hosts as ss prints them: from /etc/services, the port mapper (-r) and the resolver (-r).

A port in the range of automatic ones has no name: what /etc/services says of it would mislead more often than not.
Names are those of one protocol: ss takes the one of the raw, udp or tcp table that it read last, also for mptcp, dccp
and sctp; before any of these it takes the first name of that number.  Reference: misc/ss.c, services(5).
"""

from __future__ import annotations

from portside.faces import printable
from portside.ports.address import format_ipv4, format_ipv6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.system.host import Host

_LIST = "/etc/services"
_PROTOCOLS = "/etc/protocols"
_MAPPED = bytes(10) + b"\xff\xff"
_USUAL_RANGE = (1024, 4999)  # where the kernel does not tell its own
_TRANSPORTS = {6: "tcp", 17: "udp", 132: "sctp"}


class Services:
    """Names, each looked up once.  `numeric` is -n, `resolve` is -r; `port_range` is the text of the sysctl."""

    def __init__(self, host: Host, port_range: str | None, *, numeric: bool, resolve: bool) -> None:
        self._host = host
        self._numeric = numeric
        self._resolve = resolve
        self._first, self._last = _bounds(port_range)
        self._lists: dict[str, dict[int, str]] = {}
        self._mapped: list[tuple[int, int, str]] | None = None
        self._hosts: dict[bytes, str] = {}
        self._entries: list[tuple[str, int, str]] | None = None

    def ephemeral(self, port: int) -> bool:
        """Whether a port is in the range of automatic ones."""
        return self._first <= port <= self._last

    def name(self, port: int, transport: str) -> str:
        """Return a port as it is printed; `transport` is tcp, udp, raw (names of protocols) or empty (any)."""
        if not port:
            return "*"
        if self._numeric:
            return str(port)
        known = self._lists.get(transport)
        if known is None:
            known = self._lists[transport] = self._read(transport)
        found = known.get(port)
        if found is None:
            return f"ipproto-{port}" if transport == "raw" else str(port)
        return found

    def _read(self, transport: str) -> dict[int, str]:
        if transport == "raw":
            return self._protocols()
        names: dict[int, str] = {}
        for name, port, kind in self._services():
            if (not transport or kind == transport) and not self.ephemeral(port):
                names.setdefault(port, printable(name))
        for number, port, name in reversed(self._programs()):
            if _TRANSPORTS.get(number, "") == transport:
                names[port] = printable(name)
        return names

    def _services(self) -> list[tuple[str, int, str]]:
        if self._entries is None:
            from portside.ports.etc_services import parse_services

            text = self._host.read_or(_LIST)
            self._entries = [one[:3] for one in parse_services(text)]
        return self._entries

    def _protocols(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for line in self._host.read_or(_PROTOCOLS).splitlines():
            fields = line.partition("#")[0].split()
            if len(fields) > 1 and fields[1].isascii() and fields[1].isdecimal():
                names.setdefault(int(fields[1]), printable(fields[0]))
        return names

    def _programs(self) -> list[tuple[int, int, str]]:
        """Return (transport's number, port, `rpc.NAME`) of what the port mapper has, with -r."""
        if self._mapped is None:
            self._mapped = []
            if self._resolve and not self._numeric and self._host.live:
                from portside.system.portmap import registered

                self._mapped = [(number, port, f"rpc.{name}") for number, port, name in registered()]
        return self._mapped

    def port(self, name: str, transport: str) -> int | None:
        """Return the port that the host's list gives a service."""
        from portside.system.resolver import port_of

        return port_of(name, transport)

    def registered(self, name: str, transport: str) -> Iterator[int]:
        """Yield the ports that the port mapper has for a program."""
        for number, port, known in self._programs():
            if known == name and _TRANSPORTS.get(number) == transport:
                yield port

    def host(self, raw: bytes) -> str:
        """Return an address (4 or 16 bytes), with -r the name of its host."""
        if self._resolve:
            from portside.system.resolver import host_of

            found = self._hosts.get(raw)
            if found is None:
                found = self._hosts[raw] = printable(host_of(raw.removeprefix(_MAPPED)))
            if found:
                return found
        return format_ipv4(raw) if len(raw) == 4 else format_ipv6(raw)


def _bounds(text: str | None) -> tuple[int, int]:
    """Return the first and the last automatic port."""
    try:
        first, last = map(int, (text or "").split()[:2])
    except ValueError:
        return _USUAL_RANGE
    return first, last
