"""A filter as values: frozen records, built by the parser, read by the evaluator and the planner.

`str(expression)` writes the canonical form, which parses to an equal value; every test is compared by what it selects
(names are resolved, ranges merged, prefixes cleared), not by how it was typed.  `all_of`, `any_of` and `negate` build
compound expressions without layers that say nothing.
"""

from __future__ import annotations

from portside.ports.address import format_address
from portside.ports.number import LAST_PORT, Range
from portside.record import Record
from portside.see.filter import states
from portside.see.filter.tokens import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OPEN = (1 << 32) - 1  # the end of a range without one: vsock ports have 32 bits
LAST_PID = (1 << 31) - 1

OPERATORS = {
    "=": "=", "==": "=", "eq": "=",
    "!=": "!=", "ne": "!=", "neq": "!=",
    ">": ">", "gt": ">", "<": "<", "lt": "<",
    ">=": ">=", "ge": ">=", "geq": ">=",
    "<=": "<=", "le": "<=", "leq": "<=",
}  # fmt: skip
AND = ("and", "&", "&&")
OR = ("or", "|", "||")
NOT = ("not", "!")
RESERVED = frozenset((*OPERATORS, *AND, *OR, *NOT))


class Expression(Record):
    """A filter, or a part of one."""

    def __str__(self) -> str:
        return _text(self)


class And(Expression):
    """Every part holds; without parts it selects everything (the empty filter)."""

    parts: tuple[Expression, ...]


class Or(Expression):
    """One part holds; without parts it selects nothing."""

    parts: tuple[Expression, ...]


class Not(Expression):
    """The part does not hold."""

    part: Expression


class State(Expression):
    """The socket's state is one of `mask` (see `states`)."""

    mask: int


class Port(Expression):
    """A port lies in one of `ranges`: `side` is sport (local), dport (remote) or port (either)."""

    side: str
    ranges: tuple[Range, ...]


class HostPattern(Record):
    """One HOST: `address` and `bits` for IP (empty for any), `text` a glob for the other families.

    `family` is empty, inet, inet6, unix, link, netlink or vsock; `ports` is `None` for any.
    """

    family: str = ""
    address: bytes = b""
    bits: int = 0
    ports: Range | None = None
    device: str = ""
    text: str = ""

    def __str__(self) -> str:
        return _host_text(self)


class Host(Expression):
    """The local (`src`) or remote (`dst`) end matches one of `patterns`."""

    side: str
    patterns: tuple[HostPattern, ...]


class Text(Expression):
    """A textual field matches one of `patterns` (globs): proc, user, unit, container, dev, scope, ..."""

    field: str
    patterns: tuple[str, ...]


class Pid(Expression):
    """A holder's process id lies in one of `ranges`."""

    ranges: tuple[Range, ...]


class Mark(Expression):
    """The firewall mark, under `mask`, is `value`."""

    value: int
    mask: int


class Autobound(Expression):
    """The kernel chose the local port."""


TRUE = And(())
FALSE = Or(())


def all_of(parts: Iterable[Expression]) -> Expression:
    """Return the conjunction of `parts`, flat; one part stays itself."""
    flat: list[Expression] = []
    for part in parts:
        if part == FALSE:
            return FALSE
        flat.extend(part.parts if isinstance(part, And) else (part,))
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(parts: Iterable[Expression]) -> Expression:
    """Return the disjunction of `parts`, flat; one part stays itself."""
    flat: list[Expression] = []
    for part in parts:
        if part == TRUE:
            return TRUE
        flat.extend(part.parts if isinstance(part, Or) else (part,))
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negate(expression: Expression) -> Expression:
    """Return the opposite of `expression`."""
    if isinstance(expression, Not):
        return expression.part
    if isinstance(expression, State):
        return State(states.ALL & ~expression.mask)
    if expression == TRUE:
        return FALSE
    return TRUE if expression == FALSE else Not(expression)


def _text(expression: Expression) -> str:
    match expression:
        case And():
            return " and ".join(_inside_and(part) for part in expression.parts)
        case Or():
            return " or ".join(str(part) for part in expression.parts) or "exclude all"
        case Not(part=And() | Or()):
            return f"not ({expression.part})"
        case Not():
            text = _test_text(expression.part, "!=")
            return text or f"not {expression.part}"
        case _:
            return _test_text(expression, "=")


def _inside_and(part: Expression) -> str:
    return f"({part})" if isinstance(part, Or) and part.parts else str(part)


def _test_text(test: Expression, operator: str) -> str:
    match test:
        case State():
            return _state_text(test.mask)
        case Port():
            return _ranges_text(test.side, operator, test.ranges, LAST_PORT)
        case Pid():
            return _ranges_text("pid", operator, test.ranges, LAST_PID)
        case Host():
            hosts = (quote(str(pattern), RESERVED) for pattern in test.patterns)
            return f"{test.side} {operator} {','.join(hosts)}"
        case Text():
            values = (quote(pattern, RESERVED) for pattern in test.patterns)
            return f"{test.field} {operator} {','.join(values)}"
        case Mark():
            mask = "" if test.mask == 0xFFFFFFFF else f"/{test.mask:#x}"
            return f"fwmark {operator} {test.value:#x}{mask}"
        case _:
            return "autobound" if operator == "=" else ""


def _state_text(mask: int) -> str:
    if not mask:
        return "exclude all"
    if mask & states.OTHER and mask not in states.SETS.values():
        return f"exclude {states.words_of(states.ALL & ~mask)}"
    return f"state {states.words_of(mask)}"


def _ranges_text(name: str, operator: str, ranges: tuple[Range, ...], last: int) -> str:
    """Write a test of numbers as it is typed; empty where no `!=` form reads back as the same."""
    beyond = not ranges or ranges[0].first > last
    if beyond and operator != "=":
        return ""
    if beyond:
        return f"{name} > {last}" if ranges else f"{name} < 0"
    if operator == "=" and len(ranges) == 1 and ranges[0].last == OPEN and ranges[0].first:
        return f"{name} >= {ranges[0].first}"
    return f"{name} {operator} {','.join(range_text(each) for each in ranges)}"


def range_text(ports: Range) -> str:
    """Return a range as it is typed: `22`, `8000-8100`, `60000-`."""
    return f"{ports.first}-" if ports.last == OPEN else str(ports)


def _host_text(host: HostPattern) -> str:
    ports = "" if host.ports is None else f":{range_text(host.ports)}"
    device = host.device.replace("\\", "\\\\")
    if host.family == "link":
        return f"link:{host.text}:{device or '*'}"
    if host.family not in ("", "inet", "inet6"):
        anything = ":*" if host.family != "unix" else ""
        return f"{host.family}:{host.text}{ports or anything}"
    device = "%" + device if device else ""
    if not host.address:
        return f"{host.family + ':' if host.family else ''}*{device}{ports}"
    address = format_address(host.address)
    bits = f"/{host.bits}" if host.bits < 8 * len(host.address) else ""
    if ports and len(host.address) == 16:
        address = f"[{address}]"
    return address + device + bits + ports
