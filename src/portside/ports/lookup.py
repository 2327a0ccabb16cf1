"""Queries of the service registry: by name, number, range, pattern or description (see `registry`).

What the host's file and IANA's registry both have is one record, IANA's, which describes it.
"""

from __future__ import annotations

from portside.ports.etc_services import parse_services
from portside.ports.iana import shipped_table
from portside.ports.number import parse_range
from portside.ports.transport import answered_by, split_transport
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portside.ports.number import Range
    from portside.ports.registry import Registry

    Matches = Callable[[str, int | None, int | None, str], object]  # name, first, last, description

IANA = "iana"
HOST = "host"
BOTH = "iana+host"

_WILDCARDS = frozenset("*?[")
_SHORTEST_WORD = 3  # looked for in descriptions: shorter ones are everywhere


class Service(Record):
    """One record of the registry or of /etc/services.

    `first` and `last` are the same for one port, and None for a name without a number.  `name` is empty for a number
    that is reserved or unassigned, as `description` then says; `transport` is empty where the record names none.
    `source`: `iana`, `host` (its /etc/services), or `iana+host`.
    """

    name: str
    first: int | None
    last: int | None
    transport: str
    description: str = ""
    reference: str = ""
    source: str = IANA


def find(registry: Registry, query: str) -> list[Service]:
    """Return the records for a query, by port; see `Registry.find`."""
    text, transport = split_transport(query.strip())
    found = _search(registry, text)
    if transport:
        wanted = answered_by(transport)
        found = [service for service in found if service.transport in wanted]
    return sorted(_merge(registry, found), key=_by_port)


def find_pattern(registry: Registry, pattern: str) -> list[Service]:
    """Return the records whose name matches a shell pattern; see `Registry.find_pattern`."""
    match, table = _pattern(pattern.lower()), shipped_table()
    rows = [row for row, name in enumerate(table.names()) if match(name.lower())]
    return _collect(registry, rows, lambda name, *_: name and match(name.lower()))


def near(registry: Registry, name: str, limit: int) -> tuple[str, ...]:
    """Return names that look like `name`; the same letters in another order come first."""
    from difflib import get_close_matches

    names = dict.fromkeys(each.lower() for each in shipped_table().names())
    for official, _, _, aliases, _ in parse_services(registry.host_services):
        names |= dict.fromkeys(each.lower() for each in (official, *aliases))
    folded = name.lower()[:64]
    letters = sorted(folded)
    close = get_close_matches(folded, names, 20, 0.75)
    return tuple(sorted(close, key=lambda each: sorted(each) != letters)[:limit])


def _search(registry: Registry, text: str) -> list[Service]:
    ports = parse_range(text)
    if not text:
        return []
    if ports is not None:
        return _touching(registry, ports)
    folded, table = text.lower(), shipped_table()
    found = _collect(registry, table.rows_of_name(text), lambda name, *_: name.lower() == folded)
    if not found and _WILDCARDS.intersection(text):
        found = find_pattern(registry, text)
    if not found and len(text) >= _SHORTEST_WORD:
        rows = [row for row in range(table.rows) if folded in table.description(row).lower()]
        found = _collect(registry, rows, lambda name, _, __, text: name and folded in text.lower())
    return found


def _touching(registry: Registry, ports: Range) -> list[Service]:
    table, low, high = shipped_table(), ports.first, ports.last
    rows = table.rows_of_port(low) if low == high else table.rows_of_range(low, high)

    def matches(_name: str, first: int | None, last: int | None, _text: str) -> bool:
        return first is not None and last is not None and first <= high and low <= last

    return _collect(registry, rows, matches)


def _collect(registry: Registry, rows: Iterable[int], matches: Matches) -> list[Service]:
    """Return the host's records that match, those of IANA's rows, and what else IANA has that matches."""
    found = [
        Service(name, port, port, transport, comment, "", HOST)
        for official, port, transport, aliases, comment in parse_services(registry.host_services)
        for name in (official, *aliases)
        if matches(name, port, port, comment)
    ]
    table = shipped_table()
    for row in rows:
        name, (first, last) = table.name(row), table.ports(row)
        text, reference = table.description(row), table.reference(row)
        found += [
            Service(name, first, last, transport, text, reference) for transport in table.transports(row)
        ]
    for name, start, end, transports, text, reference in table.others():
        if matches(name, start, end, text):
            found += [Service(name, start, end, transport, text, reference) for transport in transports]
    return found


def _merge(registry: Registry, found: Iterable[Service]) -> Iterable[Service]:
    """Return one record for what both sources name, IANA's where it is among `found`."""
    merged = {}
    for service in found:  # the host's come first, so that IANA's take their place
        key = (service.name.lower(), service.first, service.last, service.transport)
        both = _iana_has(service) if service.source == HOST else _host_has(registry, service)
        merged[key] = service.replace(source=BOTH) if both else service
    return merged.values()


def _host_has(registry: Registry, service: Service) -> bool:
    if service.first is None or service.first != service.last:
        return False
    names = registry.host_names(service.first, service.transport)
    return service.name.lower() in map(str.lower, names)


def _iana_has(service: Service) -> bool:
    table = shipped_table()
    return any(
        table.name(row).lower() == service.name.lower() and service.transport in table.transports(row)
        for row in table.rows_of_port(service.first or 0)
    )


def _pattern(glob: str) -> Callable[[str], object]:
    """Return what tells whether a folded name matches a shell pattern."""
    import re
    from fnmatch import translate

    return re.compile(translate(glob)).match


def _by_port(service: Service) -> int:
    return 65536 if service.first is None else service.first
