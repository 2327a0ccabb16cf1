"""Port specs: the text by which people name sets of ports, in nmap's grammar (nmap(1), `-p`).

    22,80,8000-8100     numbers and ranges          -100      1 to 100
    https, 53/udp       names, transports           60000-    to 65535
    U:53,161,T:80       the transport of all items that follow, until the next prefix (T, U, S for SCTP)
    http*, sql-?et      every service name that matches

Blanks around items are left out.  `/udp` counts for its item alone, before a prefix.  An item without a transport
leaves it open (empty).  A name means what it is registered for: where that is both TCP and UDP the transport stays
open, else it is the registered one (`syslog` is 514/udp, for 514/tcp is another service).  Port 0 counts only where
it is written: `-100` begins at 1.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports.number import Range, merge_ranges, parse_range
from portside.ports.transport import TRANSPORTS, answered_by, split_transport
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portside.ports.registry import Registry

    Part = tuple[str, Range]  # transport, ports

_PREFIXES = {"t": "tcp", "u": "udp", "s": "sctp"}
_ORDER = ("", *TRANSPORTS)


class PortSpec(Record):
    """A set of ports, those of each transport as sorted ranges that do not touch; an empty transport is open.

    `str()` gives the canonical text, which reads back as an equal spec.  Make one with `parse_spec` or `spec_of`.
    """

    parts: tuple[tuple[str, tuple[Range, ...]], ...]

    def __contains__(self, item: object) -> bool:
        """Tell whether a port, or a (port, transport), is in the set; a bare port may be in any transport's."""
        port, transport = item if isinstance(item, tuple) else (item, "")
        wanted = ("", transport) if transport else _ORDER
        return any(port in each for own, ranges in self.parts if own in wanted for each in ranges)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield (port, transport), transport by transport."""
        for transport, ranges in self.parts:
            for each in ranges:
                for port in each:
                    yield port, transport

    def __len__(self) -> int:
        return sum(len(each) for _, ranges in self.parts for each in ranges)

    def __str__(self) -> str:
        return ",".join(
            f"{each}/{transport}" if transport else str(each)
            for transport, ranges in self.parts
            for each in ranges
        )

    def ranges(self, transport: str = "") -> tuple[Range, ...]:
        """Return the ports asked for of one transport: its own and those whose transport is open.

        For an empty transport, the ports of all.
        """
        wanted = ("", transport) if transport else _ORDER
        return merge_ranges(each for own, ranges in self.parts if own in wanted for each in ranges)


def spec_of(parts: Iterable[Part]) -> PortSpec:
    """Return the spec of (transport, ports) pairs in any order; BadRequest for a transport without ports."""
    by_transport: dict[str, list[Range]] = {}
    for transport, ports in parts:
        if transport not in _ORDER:
            raise BadRequest("make port spec", repr(transport), "not a transport", _transports_known())
        by_transport.setdefault(transport, []).append(ports)
    return PortSpec(
        tuple((each, merge_ranges(by_transport[each])) for each in sorted(by_transport, key=_ORDER.index))
    )


def parse_spec(text: str, registry: Registry | None = None) -> PortSpec:
    """Return the ports that `text` names; BadRequest says which item is wrong, where, and what was meant perhaps.

    Names are looked up in `registry`, by default IANA's without the host's own.
    """
    prefix = ""
    parts: list[Part] = []
    column = 1
    for item in text.split(","):
        word = item.strip()
        try:
            letter, colon, rest = word.partition(":")
            if colon:
                prefix, word = _prefix(letter.strip()), rest.strip()
            parts += _parts(word, prefix, bool(colon), registry)
        except BadRequest as error:
            where = column + len(item) - len(item.lstrip())
            raise _refusal("read port spec", text, word, where, error) from None
        column += len(item) + 1
    return spec_of(parts)


def parse_port(text: str, registry: Registry | None = None) -> tuple[int, str]:
    """Return (port, transport) of `8080`, `53/udp` or `https`; the transport is empty where it is left open."""
    word = text.strip()
    try:
        parts = _parts(word, "", False, registry)
        if len(parts) != 1 or len(parts[0][1]) != 1:
            several = ", ".join(
                f"{ports}/{transport}" if transport else f"{ports}" for transport, ports in parts
            )
            raise BadRequest("", "", f"names more than one port ({_shorten(several)})", "give one number")
    except BadRequest as error:
        raise BadRequest("read port", _quote(text), error.reason, error.next_step) from None
    transport, ports = parts[0]
    return ports.first, transport


def _prefix(letter: str) -> str:
    transport = _PREFIXES.get(letter.lower())
    if transport is None:
        raise BadRequest("", "", f"unknown prefix {_quote(letter + ':')}", "use T:, U: or S:")
    return transport


def _parts(word: str, prefix: str, own_prefix: bool, registry: Registry | None) -> list[Part]:
    """Return what one item means; the BadRequest it raises carries reason and next step alone."""
    bare, suffix = split_transport(word)
    if own_prefix and suffix and suffix != prefix:
        raise BadRequest("", "", f"prefix says {prefix}, suffix says {suffix}", "give one of them")
    if not bare:
        raise BadRequest("", "", "no port given" if not word else "no port before the transport")
    transport = suffix or prefix
    ports = parse_range(bare)
    if ports is not None:
        return [(transport, ports)]
    _refuse_odd_forms(bare)
    return _named(bare, transport, registry)


def _refuse_odd_forms(word: str) -> None:
    """Refuse what begins as a number and cannot be a service name, so that the reason fits."""
    item, slash, transport = word.rpartition("/")
    if slash and parse_range(item) is not None:
        raise BadRequest("", "", f"{_quote(transport)} is not a transport", _transports_known())
    if " " in word or "\t" in word:
        raise BadRequest("", "", "a blank inside an item", "separate ports by commas")


def _transports_known() -> str:
    return f"use one of {', '.join(TRANSPORTS)}"


def _named(name: str, transport: str, registry: Registry | None) -> list[Part]:
    services = registry or _default_registry()
    assigned = [each for each in services.assignments(name) if each[0] in _ORDER]
    if not assigned and not {"*", "?", "["}.isdisjoint(name):
        assigned = [
            (each.transport, each.first, each.last)
            for each in services.find_pattern(name)
            if each.first is not None and each.last is not None and each.transport in _ORDER
        ]
    if not assigned:
        raise BadRequest("", "", "neither a port nor a service name", _suggest(services, name))
    if transport:
        wanted = answered_by(transport)
        chosen = [(transport, Range(first, last)) for own, first, last in assigned if own in wanted]
        if not chosen:
            others = ", ".join(sorted({own for own, _, _ in assigned}))
            raise BadRequest("", "", f"not registered for {transport}", f"it is for {others}")
        return _unique(chosen)
    return _opened(assigned)


def _opened(assigned: list[tuple[str, int, int]]) -> list[Part]:
    """Return the ports of a name, the transport left open where both TCP and UDP have it."""
    transports: dict[tuple[int, int], set[str]] = {}
    for own, first, last in assigned:
        transports.setdefault((first, last), set()).add(own)
    return _unique(
        ("" if "" in owns or {"tcp", "udp"} <= owns else own, Range(first, last))
        for (first, last), owns in transports.items()
        for own in sorted(owns)
    )


def _unique(parts: Iterable[Part]) -> list[Part]:
    return list(dict.fromkeys(parts))


def _default_registry() -> Registry:
    from portside.ports.registry import Registry

    return Registry()


def _suggest(registry: Registry, name: str) -> str:
    close = [near for near in registry.near(name, 6) if any(True for _ in registry.assignments(near))]
    return f"did you mean '{close[0]}'?" if close else "give a number from 0 to 65535 or see `portside name`"


def _refusal(operation: str, text: str, item: str, column: int, error: BadRequest) -> BadRequest:
    where = f"item {_quote(item)} at column {column}" if item else f"empty item at column {column}"
    return BadRequest(operation, _quote(text), f"{where}: {error.reason}", error.next_step)


def _quote(text: str) -> str:
    return repr(_shorten(text))


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
