"""Who is kept out of what a wish opens, and by which rule: told of every source, from the sets of packets.

A source is kept out where no everyday packet from it to the interface's own address gets through.  What keeps it out
is a ban where the rule names sources and meets no more than half of those whom the wish is about: a block list, a
banned host.  An opening for everybody is not meant to lift it; one for just these sources is.
"""

from __future__ import annotations

from portside.guard import portclasses
from portside.guard.bdd import EMPTY
from portside.guard.changes.samples import first_addresses
from portside.guard.crossing import source_spans
from portside.guard.difference import EVERYDAY, MOST_PARTS
from portside.guard.environment import IPV4, IPV6
from portside.guard.fields import FIELDS
from portside.guard.model import Match, VerdictMap
from portside.guard.packet import Because, because_rule
from portside.guard.space import BELOW_SOURCES
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.guard.changes.wish import Network, Wish
    from portside.guard.environment import Device
    from portside.guard.model import Ruleset
    from portside.guard.reach import Judge

    Spans = tuple[tuple[int, int], ...]


class KeptOut(Record):
    """Sources that one rule keeps out of a port, as spans of addresses of one family."""

    because: Because
    interface: str
    family: str
    sources: Spans
    ban: bool


def scopes(judge: Judge, wish: Wish) -> Iterator[tuple[Device, str, int]]:
    """Yield (interface, family, the sources of the wish that come in by it)."""
    for device in judge.outside():
        if wish.interface not in ("", device.name):
            continue
        for family in (IPV4, IPV6):
            domain, named = judge.domain(device, family), wish.by_version()
            if wish.sources:
                spans = [_span(one) for one in named.get(4 if family == IPV4 else 6, ())]
                engine = judge.engine(family)
                domain = engine.manager.both(domain, engine.space.within("saddr", spans))
            if domain != EMPTY and any(one.family == family for one in first_addresses(device)):
                yield device, family, domain


def _span(network: Network) -> tuple[int, int]:
    first = int.from_bytes(network.raw, "big")
    return first, first | (1 << 8 * len(network.raw) - network.bits) - 1


def kept_out(judge: Judge, wish: Wish) -> list[KeptOut]:
    """Return who is kept out of the ports of a wish, of every port that the rules tell apart."""
    cuts, found = portclasses.starts((judge.ruleset,)), []
    for device, family, scope in scopes(judge, wish):
        for protocol, ports in wish.ports:
            for first, _ in portclasses.parts(cuts, ports.first, ports.last)[:MOST_PARTS]:
                for because, node in _stopped(judge, device, family, scope, protocol, first):
                    spans = source_spans(judge.engine(family), device, node)
                    ban = _is_ban(judge, device, family, because, spans, scope)
                    found.append(KeptOut(because, device.name, family, spans, ban))
    return found


def _stopped(
    judge: Judge, device: Device, family: str, scope: int, protocol: str, port: int
) -> Iterator[tuple[Because, int]]:
    manager, space = judge.engine(family).manager, judge.engine(family).space
    address = next(one.value for one in first_addresses(device) if one.family == family)
    asked = space.within("daddr", [(address, address)])
    for name, value in EVERYDAY.items():
        asked = manager.both(asked, space.within(name, [(value, value)]))
    crossing = judge.crossing(device, protocol, family, port)
    no = manager.less(scope, manager.meets(crossing.all, asked, BELOW_SOURCES))
    for stop in crossing.stops:
        mine = manager.both(no, manager.meets(stop.node, asked, BELOW_SOURCES))
        if mine != EMPTY:
            yield stop.because, mine
            no = manager.less(no, mine)
    if no != EMPTY:
        yield Because(rule="it does not get here"), no


def _is_ban(judge: Judge, device: Device, family: str, because: Because, spans: Spans, scope: int) -> bool:
    everybody = source_spans(judge.engine(family), device, scope)
    return 2 * _size(spans) <= _size(everybody) and _names_sources(judge.ruleset, because)


def _size(spans: Spans) -> int:
    return sum(last - first + 1 for first, last in spans)


def _names_sources(rules: Ruleset, because: Because) -> bool:
    """Whether the rule that decides looks at the source."""
    for table, chain in rules.chains():
        for rule in chain.rules:
            if because_rule(table, chain, rule) == because:
                tests = (one for one in rule.statements if isinstance(one, Match | VerdictMap))
                return any(FIELDS[key.field].base == "saddr" for one in tests for key in one.keys)
    return False
