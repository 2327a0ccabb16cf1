"""The grammar of filters: tokens -> expression, by recursive descent.

    filter      = [ or ]
    or          = and { ("or" | "|" | "||") and }
    and         = not { [ "and" | "&" | "&&" ] not }
    not         = ("not" | "!") not | "(" or ")" | test
    test        = NAME [ OPERATOR ] VALUE { "," VALUE }  |  "autobound"

`not` binds tightest, then `and`, then `or`, as the manual page of ss(8) says and ss itself does not do.  Adjacent
`state` and `exclude` words are one set, built from left to right as ss builds it.  Parentheses nest at most
`MAX_DEPTH` deep, so no input can exhaust the stack.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports import scope
from portside.ports.number import LAST_PORT, Range, merge_ranges
from portside.see import records
from portside.see.filter import states, values
from portside.see.filter.syntax import (
    AND,
    LAST_PID,
    NOT,
    OPEN,
    OPERATORS,
    OR,
    RESERVED,
    TRUE,
    Autobound,
    Expression,
    Host,
    HostPattern,
    Mark,
    Pid,
    Port,
    State,
    Text,
    all_of,
    any_of,
    negate,
)  # fmt: skip
from portside.see.filter.tokens import (
    END,
    QUOTED,
    SYMBOL,
    WORD,
    Token,
    closest,
    fault,
    plain,
    shorten,
    tokens,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Resolver = Callable[[str], tuple[int, ...]]

MAX_DEPTH = 64

STATE_NAMES = ("state", "exclude", "excl")
PORT_NAMES = ("sport", "dport", "port")
HOST_NAMES = ("src", "dst")
TEXT_NAMES = {
    "proc": "a process name",
    "user": "a user name or uid",
    "unit": "a systemd unit",
    "container": "a container name or id",
    "cgroup": "a cgroup path",
    "netns": "a network namespace",
    "dev": "an interface name or index",
}
CHOICES = {
    "scope": scope.WORDS,
    "reach": ("anyone", "some", "nobody", "depends", "unknown"),
    "gap": (
        "any", "none", records.PERMISSION, records.KERNEL, records.ACCEPT_QUEUE, records.SYN_QUEUE,
        records.TIME_WAIT, records.ORPHAN, records.OTHER_PID_NAMESPACE, records.IN_FLIGHT,
        records.GONE,
    ),
}  # fmt: skip
NAMES = (
    *PORT_NAMES, *HOST_NAMES, *TEXT_NAMES, *CHOICES, *STATE_NAMES, "pid", "service", "fwmark", "autobound",
)  # fmt: skip


def parse(text: str, resolve_port: Resolver | None = None) -> Expression:
    """Return the expression that `text` stands for; empty text selects everything.

    `resolve_port` turns a service name into its port numbers (empty, or a BadRequest or LookupError, if there is
    none); without it IANA's registry and the host's /etc/services answer.  Raises BadRequest whose text shows the
    place and what belongs there.
    """
    return _Parser(text, resolve_port or registered_ports).filter()


def registered_ports(name: str, host_services: str | None = None) -> tuple[int, ...]:
    """Return the ports that IANA's registry and the host's own file give a service; `*` and `?` are wildcards.

    `host_services` is the text of that file, `None` for this machine's.
    """
    from portside.ports.registry import Registry
    from portside.system.services import read_services

    registry = Registry(read_services() if host_services is None else host_services)
    ports = set(registry.ports_of(name))
    if not ports and ("*" in name or "?" in name):
        found = [service for service in registry.find_pattern(name) if service.first is not None]
        ports = {port for each in found for port in range(each.first or 0, (each.last or 0) + 1)}
    if not ports:
        near = registry.near(name, 1)
        raise BadRequest("look up", "service", next_step=f"did you mean {near[0]!r}?" if near else "")
    return tuple(sorted(ports))


class _Parser:
    """One pass over the tokens of one text."""

    def __init__(self, text: str, resolve: Resolver) -> None:
        self.text = text
        self.resolve = resolve
        self.tokens = tokens(text)
        self.index = 0
        self.depth = 0

    # -- tokens ----------------------------------------------------------------------------------------------------

    @property
    def ahead(self) -> Token:
        return self.tokens[self.index]

    def take(self) -> Token:
        token = self.tokens[self.index]
        self.index += token.kind != END
        return token

    def accept(self, *spellings: str) -> bool:
        """Take the next token if it is one of these (unquoted) words or symbols."""
        found = self.ahead.kind in (WORD, SYMBOL) and self.ahead.text.lower() in spellings
        self.index += found
        return found

    def fail(self, token: Token, reason: str, next_step: str = "") -> BadRequest:
        return fault(self.text, token.start, token.end, reason, next_step)

    # -- and, or, not ----------------------------------------------------------------------------------------------

    def filter(self) -> Expression:
        if self.ahead.kind == END:
            return TRUE
        expression = self.disjunction()
        if self.ahead.kind != END:
            raise self.fail(self.ahead, "this ')' closes nothing", "remove it, or add its '('")
        return expression

    def disjunction(self) -> Expression:
        parts = [self.conjunction()]
        while self.accept(*OR):
            parts.append(self.conjunction())
        return any_of(parts)

    def conjunction(self) -> Expression:
        parts = [self.operand()]
        while True:
            if self.accept(*AND) or not self.ends_conjunction():
                parts.append(self.operand())
            else:
                return all_of(parts)

    def ends_conjunction(self) -> bool:
        token = self.ahead
        return token.kind == END or (token.kind != QUOTED and token.text.lower() in (*OR, ")"))

    def operand(self) -> Expression:
        if self.ahead.kind == WORD and self.ahead.text.lower() in STATE_NAMES:
            return self.state_set()
        negated = False
        while self.accept(*NOT):
            negated = not negated
        expression = self.group() if self.ahead.text == "(" and self.ahead.kind == SYMBOL else self.test()
        return negate(expression) if negated else expression

    def group(self) -> Expression:
        opening = self.take()
        if self.depth == MAX_DEPTH:
            raise self.fail(opening, f"parentheses nest deeper than {MAX_DEPTH}")
        self.depth += 1
        expression = self.disjunction()
        self.depth -= 1
        if not self.accept(")"):
            raise self.fail(opening, "this '(' is not closed", "add the ')'")
        return expression

    # -- tests -----------------------------------------------------------------------------------------------------

    def test(self) -> Expression:
        token = self.take()
        name = token.text.lower()
        if token.kind != WORD or name in RESERVED:
            raise self.misplaced(token)
        if name in PORT_NAMES:
            return self.ports(name)
        if name in HOST_NAMES:
            return self.hosts(name)
        if name in TEXT_NAMES:
            return self.texts(name, TEXT_NAMES[name])
        if name in CHOICES:
            return self.choices(name)
        if name in STATE_NAMES:
            return State(self.state_mask(name))
        match name:
            case "pid":
                return self.pids()
            case "service":
                return self.services()
            case "fwmark":
                return self.marks()
            case "autobound":
                return Autobound()
        raise self.unknown(token)

    def misplaced(self, token: Token) -> BadRequest:
        if token.text == ")" and token.kind == SYMBOL and not self.depth:
            return self.fail(token, "this ')' closes nothing", "remove it, or add its '('")
        return self.fail(token, f"expected a test such as 'sport = 22', found {token}")

    def unknown(self, token: Token) -> BadRequest:
        word = shorten(token.text)
        if states.mask_of(token.text):
            return self.fail(token, f"{word!r} is a state, not a test", f"write 'state {word}'")
        if token.text.strip(":0123456789-") == "":
            return self.fail(
                token, f"expected a test, found {token}", "write 'port = 22'; lists take commas: 22,80"
            )
        near = closest(token.text, NAMES)
        known = ", ".join(sorted(NAMES))
        return self.fail(
            token,
            f"there is no test named {word!r}",
            f"did you mean {near!r}?" if near else f"known: {known}",
        )

    def operator(self, *allowed: str, what: str = "") -> str:
        """Take the operator, `=` if there is none; one that is not allowed is an error."""
        token = self.ahead
        if token.kind not in (WORD, SYMBOL) or token.text.lower() not in OPERATORS:
            return "="
        self.take()
        operator = OPERATORS[token.text.lower()]
        if operator not in (allowed or ("=", "!=")):
            raise self.fail(token, f"{what} cannot be compared with {token}", "use = or !=")
        return operator

    def value(self, what: str) -> Token:
        token = self.take()
        if token.kind == QUOTED or (token.kind == WORD and token.text.lower() not in RESERVED):
            return token
        next_step = "put it in quotes if it is meant as the value" if token.kind == WORD else ""
        raise self.fail(token, f"expected {what}, found {token}", next_step)

    def value_list(self, what: str) -> list[Token]:
        found = [self.value(what)]
        while self.accept(","):
            found.append(self.value(what))
        return found

    def failing(self, token: Token) -> Callable[[str, str], BadRequest]:
        return lambda reason, next_step: self.fail(token, reason, next_step)

    def ports(self, side: str) -> Expression:
        operator = self.operator("=", "!=", "<", "<=", ">", ">=")
        found = self.value_list("a port, a range or a service name")
        families = [values.split_family(token.text) for token in found]
        ranges = [
            values.read_ports(text, self.resolve, self.failing(token))
            for token, (_, text) in zip(found, families, strict=True)
        ]
        if operator not in ("=", "!="):
            ranges = [self.compared(operator, found, ranges, LAST_PORT)]
        tests: list[Expression] = []
        for (family, _), read in zip(families, ranges, strict=True):
            if family:
                tests.append(_family_ports(side, family, read))
        numbers = [
            each for (family, _), read in zip(families, ranges, strict=True) if not family for each in read
        ]
        if numbers or not tests:
            tests.insert(0, Port(side, merge_ranges(numbers)))
        expression = any_of(tests)
        return negate(expression) if operator == "!=" else expression

    def compared(
        self, operator: str, found: list[Token], ranges: list[tuple[Range, ...]], last: int
    ) -> tuple[Range, ...]:
        """Return what `operator` makes of the one number that may stand after it."""
        if len(found) > 1:
            raise self.fail(found[1], f"{operator!r} takes one number, not a list", "use = for a list")
        if len(ranges[0]) != 1 or ranges[0][0].first != ranges[0][0].last:
            raise self.fail(found[0], f"{operator!r} takes one number, not a range", "use = for a range")
        number = ranges[0][0].first
        match operator:
            case "<":
                return (Range(0, number - 1),) if number else ()
            case "<=":
                return (Range(0, number),)
            case ">":
                return (Range(number + 1, OPEN),)
        return (Range(number, OPEN),)

    def pids(self) -> Expression:
        operator = self.operator("=", "!=", "<", "<=", ">", ">=")
        found = self.value_list("a process id")
        ranges: list[tuple[Range, ...]] = []
        for token in found:
            read = values.read_range(plain(token.text), LAST_PID, "process id", self.failing(token))
            if read is None:
                name = shorten(token.text)
                raise self.fail(token, f"{name!r} is not a process id", f"for a name write 'proc = {name}'")
            ranges.append((read,))
        if operator not in ("=", "!="):
            return Pid(self.compared(operator, found, ranges, LAST_PID))
        test = Pid(merge_ranges(each for read in ranges for each in read))
        return negate(test) if operator == "!=" else test

    def services(self) -> Expression:
        operator = self.operator(what="a service")
        ranges: list[Range] = []
        for token in self.value_list("a service name"):
            name = plain(token.text).removeprefix(":")
            if values.number(name, OPEN) is not None:
                raise self.fail(token, f"{name!r} is a number, not a service", f"write 'port = {name}'")
            ranges.extend(values.read_service(name, self.resolve, self.failing(token)))
        test = Port("port", merge_ranges(ranges))
        return negate(test) if operator == "!=" else test

    def hosts(self, side: str) -> Expression:
        operator = self.operator(what="an address")
        patterns: list[HostPattern] = []
        for token in self.value_list("an address, a prefix or *"):
            patterns.extend(values.read_hosts(token.text, self.resolve, self.failing(token)))
        test = Host(side, tuple(dict.fromkeys(patterns)))
        return negate(test) if operator == "!=" else test

    def texts(self, field: str, what: str) -> Expression:
        operator = self.operator(what=f"{field!r}")
        found = [token.text for token in self.value_list(what)]
        test = Text(field, tuple(dict.fromkeys(found)))
        return negate(test) if operator == "!=" else test

    def choices(self, field: str) -> Expression:
        operator = self.operator(what=f"{field!r}")
        known = CHOICES[field]
        found = []
        for token in self.value_list(f"one of {', '.join(known)}"):
            word = token.text.lower()
            if word not in known:
                near = closest(word, known)
                next_step = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
                raise self.fail(token, f"there is no {field} named {shorten(token.text)!r}", next_step)
            found.append(word)
        test = Text(field, tuple(dict.fromkeys(found)))
        return negate(test) if operator == "!=" else test

    def marks(self) -> Expression:
        operator = self.operator(what="a firewall mark")
        marks = [Mark(*values.read_mark(t.text, self.failing(t))) for t in self.value_list("a firewall mark")]
        expression = any_of(dict.fromkeys(marks))
        return negate(expression) if operator == "!=" else expression

    # -- states ----------------------------------------------------------------------------------------------------

    def state_set(self) -> Expression:
        """Read adjacent `state` and `exclude` words: the first sets or clears, the others add and take away."""
        name = self.take().text.lower()
        mask = self.state_mask(name)
        while self.ahead.kind == WORD and self.ahead.text.lower() in STATE_NAMES:
            name = self.take().text.lower()
            following = self.state_mask(name)
            mask = mask | following if name == "state" else mask & following
        return State(mask)

    def state_mask(self, name: str) -> int:
        operator = self.operator(what="a state")
        mask = 0
        for token in self.value_list("a state"):
            states_of_word = states.mask_of(plain(token.text))
            if not states_of_word:
                raise self.unknown_state(token)
            mask |= states_of_word
        return mask if (name == "state") == (operator == "=") else states.ALL & ~mask

    def unknown_state(self, token: Token) -> BadRequest:
        near = closest(token.text.replace("_", "-"), states.WORDS)
        known = ", ".join(states.WORDS)
        return self.fail(
            token,
            f"there is no state named {shorten(token.text)!r}",
            f"did you mean {near!r}?" if near else f"known: {known}",
        )


def _family_ports(side: str, family: str, ranges: tuple[Range, ...]) -> Expression:
    """Return the test for ss's `sport = inet:22`: the family and the port together."""
    sides = {"sport": ("src",), "dport": ("dst",), "port": ("src", "dst")}[side]
    patterns = tuple(HostPattern(family=family, ports=ports, text="" if family.startswith("inet") else "*")
                     for ports in ranges)  # fmt: skip
    return any_of(Host(each, patterns) for each in sides)
