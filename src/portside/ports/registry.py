"""Service names: IANA's registry merged with the host's own /etc/services.

A name that comes from a number is a guess: any program may listen on any port.  Where a port has several names, all
are kept and one is shown: the host's own file decides, its official name before its aliases; then the registry, in
the order it lists them (`http` before `www` and `www-http`).  Names are compared without regard to case.

Every `portside list` needs names, so this module imports little; what only a query needs is in `lookup`.
"""

from __future__ import annotations

from portside.ports.etc_services import index_services, parse_services
from portside.ports.iana import shipped_table
from portside.ports.transport import answered_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.ports.lookup import Service


class Registry:
    """Answers what a port is called and which ports a name has.

    `host_services` is the text of /etc/services, as `system.services` reads it.  Everything is loaded when first
    asked for; one registry may serve several threads.
    """

    def __init__(self, host_services: str = "") -> None:
        self.host_services = host_services
        self._host_names: dict[str, list[str]] | None = None
        self._known: dict[tuple[int, str], str] = {}

    def name_of(self, port: int, transport: str = "") -> str:
        """Return the name to show for a port, empty if it has none; an empty transport means any."""
        name = self._known.get((port, transport))
        if name is None:
            names = self.names_of(port, transport)
            name = self._known[port, transport] = names[0] if names else ""
        return name

    def names_of(self, port: int, transport: str = "") -> tuple[str, ...]:
        """Return all names of a port, the one to show first."""
        wanted = answered_by(transport)
        names = [name for each in wanted for name in self.host_names(port, each)]
        if 0 <= port < 49152:  # none is assigned in the dynamic range
            table = shipped_table()
            rows = table.rows_of_port(port)
            names += [table.name(row) for each in wanted for row in rows if each in table.transports(row)]
        return tuple(dict.fromkeys(names))

    def host_names(self, port: int, transport: str) -> list[str]:
        """Return the names that the host's own file gives a port of one transport."""
        if self._host_names is None:
            self._host_names = index_services(self.host_services)
        return self._host_names.get(f"{port}/{transport}", [])

    def ports_of(self, name: str, transport: str = "") -> tuple[int, ...]:
        """Return the ports a name has, ascending; an empty transport means any."""
        wanted = answered_by(transport)
        ranges = [(first, last) for each, first, last in self.assignments(name) if each in wanted]
        return tuple(sorted({port for first, last in ranges for port in range(first, last + 1)}))

    def assignments(self, name: str) -> Iterator[tuple[str, int, int]]:
        """Yield (transport, first port, last port) of everything that a name is registered for."""
        folded, table = name.lower(), shipped_table()
        for official, port, transport, aliases, _ in parse_services(self.host_services):
            if folded == official.lower() or folded in map(str.lower, aliases):
                yield transport, port, port
        for row in table.rows_of_name(name):
            first, last = table.ports(row)
            for transport in table.transports(row):
                yield transport, first, last

    def find(self, query: str) -> list[Service]:
        """Return the records for a name, a port or a pattern, by port.

        `https`, `443`, `8080/tcp`, `8000-8100/udp`, `ssh*` (`*`, `?`, `[...]`); three letters or more that are
        no name are looked for in the descriptions.  BadRequest for a number that is no port.
        """
        from portside.ports.lookup import find

        return find(self, query)

    def find_pattern(self, pattern: str) -> list[Service]:
        """Return the records whose name matches a shell pattern (`*`, `?`, `[...]`)."""
        from portside.ports.lookup import find_pattern

        return find_pattern(self, pattern)

    def near(self, name: str, limit: int = 3) -> tuple[str, ...]:
        """Return names that look like `name`, likeliest first: what was meant, perhaps."""
        from portside.ports.lookup import near

        return near(self, name, limit)
