"""A filter decided in Python: expression -> a function that says of one socket whether it is selected.

The expression is compiled once, into nested functions.  What each test looks at:

| test | of a socket |
|---|---|
| `state` | its state; `close` and `unconnected` are the same |
| `sport`, `dport`, `port` | the local, the remote, either port, of inet, inet6 and vsock sockets alone |
| `src`, `dst` | address, port and device of the local, remote end; an IPv4 prefix also holds v4-mapped addresses |
| `dev` | the interface it is bound to |
| `proc`, `pid` | any holder: the process's name or its executable's base name; its id |
| `user` | any holder's user; without a known holder the creator's, where the kernel tells it |
| `unit`, `container` | any holder's; without any, the socket's own |
| `cgroup`, `netns`, `scope` | the creator's cgroup path; the network namespace's name; the local address's scope |
| `reach` | what `reach_of` answers |
| `gap` | why no holder is known |
| `fwmark` | the mark, which the kernel tells only with CAP_NET_ADMIN: without it the test does not hold |
| `autobound` | whether the local port is in the ephemeral range: the kernel's own knowledge is not in its answers |

A test on what is not known does not hold, so `not proc = nginx` selects a socket without known holder.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.ports.address import parse_address
from portside.ports.number import HostRanges, Range
from portside.see import records
from portside.see.filter import states
from portside.see.filter.syntax import (
    And,
    Autobound,
    Expression,
    Host,
    HostPattern,
    Mark,
    Not,
    Or,
    Pid,
    Port,
    State,
    Text,
)  # fmt: skip
from portside.see.filter.tokens import plain
from portside.see.reach import of_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portside.see.records import Endpoint, Process, Socket

    Predicate = Callable[[Socket], bool]
    Matcher = Callable[[str], bool]

_IP = ("inet", "inet6")
_WITH_PORTS = frozenset(("inet", "inet6", "vsock"))
_MAPPED = bytes(10) + b"\xff\xff"
_ANY_ADDRESS = {"inet": bytes(4), "inet6": bytes(16)}
_COMM = 15  # characters of a process name that the kernel keeps (TASK_COMM_LEN - 1)
_CACHED = 1 << 16
_LISTED = 1 << 12
_NO_CREATOR = frozenset((records.TIME_WAIT, records.SYN_QUEUE, records.ACCEPT_QUEUE, records.ORPHAN))
_EPHEMERAL = HostRanges().ephemeral
UNIT_SUFFIXES = (
    ".service", ".socket", ".scope", ".slice", ".mount", ".target", ".timer", ".path", ".swap", ".device",
    ".automount",
)  # fmt: skip


def matches(expression: Expression, socket: Socket) -> bool:
    """Tell whether `socket` is selected; for many sockets take `predicate(expression)` once."""
    return predicate(expression)(socket)


def predicate(
    expression: Expression,
    *,
    reach_of: Callable[[Socket], str] = of_socket,
    device_index: Callable[[str], int] | None = None,
    ephemeral: Range = _EPHEMERAL,
) -> Predicate:
    """Return the function that decides `expression`.

    `reach_of` gives a socket's reach, `device_index` an interface's number (0 if there is none; without it a
    number in `dev` is compared as text), `ephemeral` is the host's range of automatic ports.
    """
    return _Compiler(reach_of, device_index, ephemeral).compile(expression)


class _Compiler:
    """Turns each kind of expression into a function."""

    def __init__(
        self,
        reach_of: Callable[[Socket], str],
        device_index: Callable[[str], int] | None,
        ephemeral: Range,
    ) -> None:
        self.reach_of = reach_of
        self.device_index = device_index
        self.ephemeral = ephemeral

    def compile(self, expression: Expression) -> Predicate:
        match expression:
            case And(parts):
                return _every([self.compile(part) for part in parts])
            case Or(parts):
                return _some([self.compile(part) for part in parts])
            case Not(part):
                inner = self.compile(part)
                return lambda socket: not inner(socket)
            case State(mask):
                return _state(mask)
            case Port(side, ranges):
                return _port(side, in_ranges(ranges))
            case Host(side, patterns):
                return _some([_host(side, pattern) for pattern in patterns])
            case Text(field, patterns):
                return self.text(field, patterns)
            case Pid(ranges):
                within = in_ranges(ranges)
                return lambda socket: any(within(owner.pid) for owner in socket.owners)
            case Mark(value, mask):
                return _mark(value, mask)
            case Autobound():
                first, last = self.ephemeral.first, self.ephemeral.last
                return lambda socket: first <= socket.local.port <= last and socket.family in _IP
        raise TypeError(f"no such expression: {expression!r}")

    def text(self, field: str, patterns: tuple[str, ...]) -> Predicate:
        match field:
            case "proc":
                return _proc(patterns)
            case "user":
                return _user(patterns)
            case "unit":
                return _unit(patterns)
            case "container":
                return _container(patterns)
            case "cgroup":
                path = text_matcher(tuple("/" + pattern.strip("/") for pattern in patterns))
                return lambda socket: bool(socket.cgroup) and path(socket.cgroup)
            case "gap":
                return _gap(patterns)
            case "reach":
                reach_of = self.reach_of
                return lambda socket: reach_of(socket) in patterns
            case "scope":
                return lambda socket: socket.local.scope in patterns
            case "dev":
                return self.device(patterns)
        name = text_matcher(patterns)
        return lambda socket: name(socket.netns)

    def device(self, patterns: tuple[str, ...]) -> Predicate:
        name = text_matcher(patterns)
        numbers = frozenset(int(each) for each in patterns if each.isascii() and each.isdecimal())
        index = self.device_index
        if index is None or not numbers:
            return lambda socket: name(socket.local.device)
        return lambda socket: (
            name(socket.local.device) or (socket.local.device != "" and index(socket.local.device) in numbers)
        )


def _every(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        return lambda socket: first(socket) and second(socket)
    if len(parts) == 1:
        return parts[0]

    def every(socket: Socket) -> bool:
        for part in parts:  # noqa: SIM110 (a generator for each socket takes twice the time)
            if not part(socket):
                return False
        return True

    return every


def _some(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        return lambda socket: first(socket) or second(socket)
    if len(parts) == 1:
        return parts[0]

    def some(socket: Socket) -> bool:
        for part in parts:  # noqa: SIM110
            if part(socket):
                return True
        return False

    return some


def _state(mask: int) -> Predicate:
    if mask & states.OTHER:
        excluded = frozenset(name for name, number in states.NUMBERS.items() if not mask >> number & 1)
        return lambda socket: socket.state not in excluded
    included = frozenset(name for name, number in states.NUMBERS.items() if mask >> number & 1)
    return lambda socket: socket.state in included


def in_ranges(ranges: tuple[Range, ...]) -> Callable[[int], bool]:
    """Return the test whether a number lies in one of `ranges` (sorted, apart from each other)."""
    if len(ranges) == 1:
        first, last = ranges[0].first, ranges[0].last
        return lambda number: first <= number <= last
    if sum(each.last - each.first + 1 for each in ranges) <= _LISTED:
        return frozenset(number for each in ranges for number in each).__contains__
    from bisect import bisect_right

    firsts = [each.first for each in ranges]
    lasts = [-1, *(each.last for each in ranges)]
    return lambda number: number <= lasts[bisect_right(firsts, number)]


def _port(side: str, within: Callable[[int], bool]) -> Predicate:
    match side:
        case "sport":
            return lambda socket: within(socket.local.port) and socket.family in _WITH_PORTS
        case "dport":
            return lambda socket: within(socket.remote.port) and socket.family in _WITH_PORTS
    return lambda socket: (
        (within(socket.local.port) or within(socket.remote.port)) and socket.family in _WITH_PORTS
    )


def _end(side: str) -> Callable[[Socket], Endpoint]:
    if side == "src":
        return lambda socket: socket.local
    return lambda socket: socket.remote


def _host(side: str, pattern: HostPattern) -> Predicate:
    end = _end(side)
    tests: list[Predicate] = []
    if pattern.ports is not None:
        within = in_ranges((pattern.ports,))
        tests.append(lambda socket: within(end(socket).port))
    if pattern.device:
        device = pattern.device
        tests.append(lambda socket: (end(socket).device or socket.local.device) == device)
    if pattern.family not in ("", *_IP):
        tests.insert(0, _foreign_address(end, pattern))
    elif pattern.address or pattern.family:
        tests.append(_ip_address(end, pattern))
    elif pattern.ports is not None or pattern.device:
        tests.append(lambda socket: socket.family in _WITH_PORTS)
    return _every(tests)


def _foreign_address(end: Callable[[Socket], Endpoint], pattern: HostPattern) -> Predicate:
    """Match a Unix, packet, netlink or vsock socket: the family, and the address as text."""
    family = {"link": "packet"}.get(pattern.family, pattern.family)
    address = text_matcher((pattern.text,))
    return lambda socket: socket.family == family and address(end(socket).address)


def _ip_address(end: Callable[[Socket], Endpoint], pattern: HostPattern) -> Predicate:
    """Match an IP address against a prefix; each address text is decided once."""
    wanted = pattern.address or _ANY_ADDRESS[pattern.family]
    shift = 8 * len(wanted) - pattern.bits
    network = int.from_bytes(wanted, "big") >> shift
    short = len(wanted) == 4
    known: dict[tuple[str, str], bool] = {}

    def decide(family: str, text: str) -> bool:
        raw = _raw(family, text)
        if short and len(raw) == 16 and raw.startswith(_MAPPED):
            raw = raw[12:]
        return len(raw) == len(wanted) and int.from_bytes(raw, "big") >> shift == network

    def address(socket: Socket) -> bool:
        key = (socket.family, end(socket).address)
        answer = known.get(key)
        if answer is None:
            if len(known) >= _CACHED:
                known.clear()
            answer = known[key] = decide(*key)
        return answer

    return address


def _raw(family: str, text: str) -> bytes:
    """Return a socket's address as bytes: none for other families, all zero where the text is empty."""
    if family not in _IP:
        return b""
    if text in ("", "*"):
        return _ANY_ADDRESS[family]
    try:
        return parse_address(text.partition("%")[0])
    except PortsideError:
        return b""


def _proc(patterns: tuple[str, ...]) -> Predicate:
    name = text_matcher(patterns)
    cut = frozenset(
        plain(each)[:_COMM] for each in patterns if not is_glob(each) and len(plain(each)) > _COMM
    )

    def holder(process: Process) -> bool:
        program = process.exe.removesuffix(" (deleted)").rpartition("/")[2]
        if name(process.name) or (program != "" and name(program)):
            return True
        told_in_full = len(process.name) < _COMM or program.startswith(process.name)
        return not told_in_full and process.name in cut

    return lambda socket: any(holder(owner.process) for owner in socket.owners)


def _user(patterns: tuple[str, ...]) -> Predicate:
    name = text_matcher(patterns)
    uids = frozenset(int(each) for each in patterns if each.isascii() and each.isdecimal())

    def known(uid: int | None, user: str) -> bool:
        return uid in uids or (user != "" and name(user))

    def user(socket: Socket) -> bool:
        holders = [owner.process for owner in socket.owners if owner.process.uid is not None]
        if holders:
            return any(known(process.uid, process.user) for process in holders)
        return socket.uid is not None and _has_creator(socket) and known(socket.uid, socket.user)

    return user


def _has_creator(socket: Socket) -> bool:
    """Tell whether the socket's uid means somebody: for these the kernel answers 0 whoever it was."""
    return socket.owner_gap not in _NO_CREATOR and socket.state not in ("time-wait", "syn-recv")


def _unit(patterns: tuple[str, ...]) -> Predicate:
    plain_names = [each for each in patterns if not is_glob(each) and not each.endswith(UNIT_SUFFIXES)]
    name = text_matcher((*patterns, *(f"{each}.service" for each in plain_names)))

    def unit(socket: Socket) -> bool:
        units = [owner.process.unit for owner in socket.owners if owner.process.unit] or [socket.unit]
        return any(map(name, units))

    return unit


def _container(patterns: tuple[str, ...]) -> Predicate:
    name = text_matcher(patterns)
    starts = tuple(plain(each).lower() for each in patterns if not is_glob(each) and len(each) >= 4)

    def known(container: records.Container) -> bool:
        if name(container.name) and container.name:
            return True
        ids = [each for each in (container.id, container.pod) if each]
        return any(name(each) or each.lower().startswith(starts) for each in ids)

    def container(socket: Socket) -> bool:
        found = [owner.process.container for owner in socket.owners] + [socket.container]
        held = [each for each in found[:-1] if each is not None] or [each for each in found[-1:] if each]
        return any(map(known, held))

    return container


def _gap(patterns: tuple[str, ...]) -> Predicate:
    wanted = frozenset("" if each == "none" else each for each in patterns)
    if "any" in wanted:
        return lambda socket: socket.owner_gap != "" or socket.owner_gap in wanted
    return lambda socket: socket.owner_gap in wanted


def _mark(value: int, mask: int) -> Predicate:
    def marked(socket: Socket) -> bool:
        for name, attribute in socket.attributes:
            if name == "mark":
                return isinstance(attribute, int) and attribute & mask == value
        return False

    return marked


def is_glob(pattern: str) -> bool:
    """Tell whether a token's text has a wildcard (one without a backslash before it)."""
    if "*" not in pattern and "?" not in pattern:
        return False
    bare = pattern.replace("\\\\", "").replace("\\*", "").replace("\\?", "")
    return "*" in bare or "?" in bare


def text_matcher(patterns: Iterable[str]) -> Matcher:
    """Return the test whether a text equals one of `patterns`, in which `*` and `?` are wildcards."""
    listed = list(patterns)
    exact = frozenset(plain(each) for each in listed if not is_glob(each))
    globs = [_glob(each) for each in listed if is_glob(each)]
    if not globs:
        return exact.__contains__
    return lambda text: text in exact or any(glob(text) for glob in globs)


def _glob(pattern: str) -> Matcher:
    """Compile a pattern; atomic groups keep the time linear whatever the pattern."""
    import re

    pieces, piece, escaped = [], "", False
    for character in pattern:
        if escaped or character not in "*?\\":
            piece += re.escape(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "?":
            piece += "."
        else:
            pieces.append(piece)
            piece = ""
    first, *middle = [*pieces, piece]
    body = (
        first + "".join(f"(?>.*?{each})" for each in middle[:-1] if each) + f".*{middle[-1]}"
        if middle
        else first
    )
    found = re.compile(body, re.DOTALL).fullmatch
    return lambda text: found(text) is not None
