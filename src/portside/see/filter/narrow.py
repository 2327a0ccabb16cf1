"""What follows from a filter before any socket is read: reduction by known facts, and what every match must have.

Negations are first moved down to the single tests (`pushed_down`, De Morgan).  Then `reduced` replaces each test that
is decided for every socket of a family, a set of states, a known port; `needed_of` tells the states and ports outside
of which nothing can match.  Both are sound for any expression: a test they know nothing of stays as it is.
"""

from __future__ import annotations

from portside.ports.number import LAST_PORT, Range, merge_ranges
from portside.record import Record
from portside.see.filter import states as words
from portside.see.filter.evaluate import text_matcher
from portside.see.filter.syntax import (
    FALSE,
    TRUE,
    And,
    Autobound,
    Expression,
    Host,
    HostPattern,
    Not,
    Or,
    Port,
    State,
    Text,
    all_of,
    any_of,
    negate,
)
from portside.wire import tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INET_FAMILIES = ("inet", "inet6")
NARROWED = frozenset(
    ("tcp", "udp", "udplite", "mptcp")
)  # raw_diag ignores the mask, SCTP counts its own states

_WITH_PORTS = frozenset(("inet", "inet6", "vsock"))
_DATAGRAM = frozenset(("udp", "udplite"))
_EVERY_PORT = (Range(0, LAST_PORT),)


def pushed_down(expression: Expression, negated: bool = False) -> Expression:
    """Return an equal expression in which only single tests are negated (De Morgan)."""
    match expression:
        case And(parts) | Or(parts):
            join = all_of if isinstance(expression, And) != negated else any_of
            return join(pushed_down(part, negated) for part in parts)
        case Not(part):
            return pushed_down(part, not negated)
    return negate(expression) if negated else expression


def conjuncts(expression: Expression) -> tuple[Expression, ...]:
    """Return the parts that must all hold."""
    return expression.parts if isinstance(expression, And) else (expression,)


def leaves(expression: Expression) -> Iterator[Expression]:
    """Yield every single test."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield expression


class Facts(Record):
    """Family, states (as records name them), ports (0: not known) and network namespace."""

    family: str
    states: int
    sport: int = 0
    dport: int = 0
    netns: str | None = None


def labels_of(protocol: str, mask: int) -> int:
    """Return the states by which records may name the sockets that a kernel mask returns."""
    if protocol in _DATAGRAM:
        return mask & (1 << tcp_states.ESTABLISHED | 1 << tcp_states.CLOSE)
    if protocol not in NARROWED:
        return words.ALL
    if mask & (1 << tcp_states.CLOSE | 1 << tcp_states.BOUND_INACTIVE):  # both are answered as state 7
        mask |= 1 << tcp_states.CLOSE | 1 << tcp_states.BOUND_INACTIVE
    if mask >> tcp_states.NEW_SYN_RECV & 1:
        mask |= 1 << tcp_states.SYN_RECV
    return mask & words.ALL & ~words.OTHER


def kernel_states(protocol: str, labels: int) -> int:
    """Return the kernel mask that covers the states `labels`."""
    if labels >> tcp_states.SYN_RECV & 1:
        labels |= 1 << tcp_states.NEW_SYN_RECV
    if protocol == "mptcp" and labels >> tcp_states.BOUND_INACTIVE & 1:  # mptcp_diag has no bit 13
        labels |= 1 << tcp_states.CLOSE
    return labels


def reduced(expression: Expression, facts: Facts) -> Expression:
    """Return the expression with every test replaced that the facts decide."""
    match expression:
        case And(parts):
            return all_of(reduced(part, facts) for part in parts)
        case Or(parts):
            return any_of(reduced(part, facts) for part in parts)
        case Not(part):
            return negate(reduced(part, facts))
    known = _decided(expression, facts)
    return expression if known is None else TRUE if known else FALSE


def _decided(leaf: Expression, facts: Facts) -> bool | None:
    match leaf:
        case State(mask):
            return False if not facts.states & mask else None if facts.states & ~mask else True
        case Port(side, ranges):
            return _port_decided(side, ranges, facts)
        case Host(side, patterns):
            answers = [_host_decided(side, pattern, facts) for pattern in patterns]
            return True if True in answers else None if None in answers else False
        case Text("netns", patterns) if facts.netns is not None:
            return text_matcher(patterns)(facts.netns)
        case Autobound() if facts.family not in INET_FAMILIES:
            return False
    return None


def _port_decided(side: str, ranges: tuple[Range, ...], facts: Facts) -> bool | None:
    if facts.family not in _WITH_PORTS or not ranges:
        return False
    ports = {"sport": (facts.sport,), "dport": (facts.dport,), "port": (facts.sport, facts.dport)}[side]
    known = [any(port in each for each in ranges) for port in ports if port]
    if True in known:
        return True
    return False if len(known) == len(ports) else None


def _host_decided(side: str, pattern: HostPattern, facts: Facts) -> bool | None:
    family = {"link": "packet"}.get(pattern.family, pattern.family)
    if family not in ("", *INET_FAMILIES):
        return None if family == facts.family else False
    if (pattern.address or family) and facts.family not in INET_FAMILIES:
        return False
    if (len(pattern.address) == 16 or family == "inet6") and facts.family == "inet":
        return False
    if pattern.ports is not None:
        if facts.family not in _WITH_PORTS:
            return False
        known = _port_decided("sport" if side == "src" else "dport", (pattern.ports,), facts)
        if not known:
            return known
    if pattern.device or pattern.address or family not in ("", facts.family):
        return None
    return True


class Needed(Record):
    """What every match has: one of these states, ports in these ranges."""

    states: int = words.ALL
    sport: tuple[Range, ...] = _EVERY_PORT
    dport: tuple[Range, ...] = _EVERY_PORT


def needed_of(expression: Expression) -> Needed:
    """Return what every socket has that `expression` (negations at the leaves) selects."""
    match expression:
        case And(parts):
            every = [needed_of(part) for part in parts]
            return Needed(
                _both_states(each.states for each in every),
                _both(each.sport for each in every),
                _both(each.dport for each in every),
            )
        case Or(parts):
            found = [needed_of(part) for part in parts]
            some = [each for each in found if each.states and each.sport and each.dport]
            mask = 0
            for each in some:
                mask |= each.states
            return Needed(
                mask,
                merge_ranges(ports for each in some for ports in each.sport),
                merge_ranges(ports for each in some for ports in each.dport),
            )
        case State(mask):
            return Needed(mask)
        case Port("sport", ranges):
            return Needed(sport=clamped(ranges))
        case Port("dport", ranges):
            return Needed(dport=clamped(ranges))
        case Not(Port("sport", ranges)):
            return Needed(sport=_outside(clamped(ranges)))
        case Not(Port("dport", ranges)):
            return Needed(dport=_outside(clamped(ranges)))
        case Not(Port("port", ranges)):
            return Needed(sport=_outside(clamped(ranges)), dport=_outside(clamped(ranges)))
        case Host(side, patterns) if all(pattern.ports is not None for pattern in patterns):
            ports = clamped(merge_ranges(each.ports for each in patterns if each.ports is not None))
            return Needed(sport=ports) if side == "src" else Needed(dport=ports)
    return Needed()


def _both_states(masks: Iterable[int]) -> int:
    common = words.ALL
    for mask in masks:
        common &= mask
    return common


def _both(sets: Iterable[tuple[Range, ...]]) -> tuple[Range, ...]:
    """Return the ports that are in every one of `sets`."""
    outside = [each for ranges in sets for each in _outside(ranges)]
    return _outside(merge_ranges(outside))


def _outside(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """Return the ports that are in none of `ranges` (sorted, apart)."""
    found, start = [], 0
    for each in ranges:
        if each.first > start:
            found.append(Range(start, each.first - 1))
        start = each.last + 1
    return tuple(found) if start > LAST_PORT else (*found, Range(start, LAST_PORT))


def clamped(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    """Return `ranges` without what no IP port reaches."""
    return tuple(Range(each.first, min(each.last, LAST_PORT)) for each in ranges if each.first <= LAST_PORT)


def single(ranges: tuple[Range, ...]) -> int:
    """Return the only port of `ranges`, 0 if there are several (a request cannot ask for port 0)."""
    return ranges[0].first if len(ranges) == 1 and ranges[0].first == ranges[0].last else 0
