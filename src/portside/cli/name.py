"""`portside name`: what the service registries say about a name, a number, a range or a pattern."""

from __future__ import annotations

from portside.cli.command import CSV, FOUND, NO_HEADER, NOTHING, Argument, Command
from portside.cli.output import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.ports.lookup import Service
    from portside.ports.number import HostRanges
    from portside.ports.registry import Registry


_QUERY = Argument(
    ("query",),
    "a name, a port, a range, each with /tcp or /udp; a pattern (ssh*); words of a description",
    "QUERY",
    many="+",
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Look every query up; exit 1 when one of them is in no registry."""
    from portside.ports.registry import Registry
    from portside.system.port_ranges import read_host_ranges
    from portside.system.services import read_services

    registry = Registry(read_services())
    answers = [(query, registry.find(query)) for query in arguments.query]
    found = [service for _, services in answers for service in services]
    ranges = read_host_ranges()
    if output.json:
        items = [_item(service, query, ranges) for query, services in answers for service in services]
        output.envelope("services", items)
    elif arguments.csv:
        output.csv(found, _columns(ranges), header=not arguments.no_header)
    elif found:
        output.table(found, _columns(ranges), header=not arguments.no_header)
    missing = [query for query, services in answers if not services]
    for query in missing:
        output.note(_not_found(registry, query))
    return NOTHING if missing else FOUND


def _columns(ranges: HostRanges) -> tuple[Column, ...]:
    return (
        Column("name", "NAME", lambda service: service.name or "-"),
        Column("port", "PORT", _port),
        Column("description", "DESCRIPTION", lambda service: service.description, shrink=1),
        Column("reference", "REFERENCE", lambda service: service.reference, shrink=2),
        Column("range", "RANGE", lambda service: ", ".join(_ranges(service, ranges)), shrink=5),
        Column("source", "SOURCE", lambda service: service.source, shrink=5),
    )


def _port(service: Service) -> str:
    if service.first is None:
        return f"-/{service.transport}" if service.transport else "-"
    numbers = f"{service.first}" if service.first == service.last else f"{service.first}-{service.last}"
    return f"{numbers}/{service.transport}" if service.transport else numbers


def _ranges(service: Service, ranges: HostRanges) -> tuple[str, ...]:
    """Return RFC 6335's range, and what the port is on this host."""
    from portside.ports.number import range_name

    if service.first is None:
        return ()
    return range_name(service.first), *(ranges.words(service.first) if service.first == service.last else ())


def _item(service: Service, query: str, ranges: HostRanges) -> dict[str, Any]:
    """An item of `kind: services`: what a record does not say is null."""
    words = _ranges(service, ranges)
    return {
        "query": query,
        "name": service.name or None,
        "port": service.first,
        "last_port": service.last,
        "transport": service.transport or None,
        "description": service.description or None,
        "reference": service.reference or None,
        "range": words[0] if words else None,
        "here": list(words[1:]),
        "source": service.source,
    }


def _not_found(registry: Registry, query: str) -> str:
    from portside.ports.number import DYNAMIC, parse_range
    from portside.ports.transport import split_transport

    bare, _ = split_transport(query.strip())
    ports = parse_range(bare)
    if ports is not None and ports.first in DYNAMIC:
        return (
            f"look up '{query}': ports from {DYNAMIC.first} on are never assigned (RFC 6335, dynamic range)"
        )
    near = registry.near(bare) if ports is None else ()
    hint = f"; did you mean {_either(near)}?" if near else ""
    return f"look up {query!r}: in no registry{hint}"


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(f"'{name}'" for name in names)


COMMAND = Command(
    "name",
    "what the registries say about a service name or port number",
    (_QUERY, NO_HEADER, CSV),
    run,
    description="Look service names and port numbers up in IANA's registry (RFC 6335) and in /etc/services.\n"
    "RANGE is the registry's (system, user, dynamic), then what the port is on this host: privileged (binding\n"
    "takes a right), ephemeral (handed out by the kernel), reserved (kept back).  Exit 1 when a query is in no\n"
    "registry.",
    examples="  portside name https 8080/tcp\n"
    "  portside name 'ssh*'\n"
    "  portside name 8000-8100/udp --csv\n"
    "  portside name 'remote desktop' --json",
)
