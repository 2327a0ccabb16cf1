"""What the kernel can decide of a filter: expression -> dump requests.

For each request (family, protocol, states) the expression is first reduced by what is known of every socket it can
return; what remains becomes a narrower state mask, ports in the request's header, and INET_DIAG bytecode.  The kernel
part is sound: it never drops a socket that the filter selects.  What the kernel cannot decide counts as true for it
(negations are moved down to the single tests first, so that this only ever lets more through), and the caller checks
`Plan.predicate` on what comes back.

Three roads, cheapest first (net/ipv4/inet_diag.c, inet_diag_dump_icsk):
- the state mask: with LISTEN alone the table of connections is never walked;
- one source or destination port in the header: compared before bytecode.  A destination port skips the listeners;
  the walk over bound, inactive sockets (6.8) ignores both, so bytecode repeats the port there;
- bytecode: ports, prefixes, the device, marks (CAP_NET_ADMIN), cgroups, and whether the kernel chose the port.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.ports.number import LAST_PORT, Range
from portside.record import Record
from portside.see.filter import states as words
from portside.see.filter.evaluate import is_glob, predicate
from portside.see.filter.narrow import (
    INET_FAMILIES,
    NARROWED,
    Facts,
    clamped,
    conjuncts,
    kernel_states,
    labels_of,
    leaves,
    needed_of,
    pushed_down,
    reduced,
    single,
)
from portside.see.filter.syntax import (
    And,
    Autobound,
    Expression,
    Host,
    HostPattern,
    Mark,
    Not,
    Or,
    Port,
    Text,
    all_of,
)
from portside.see.filter.tokens import plain
from portside.wire import bytecode, tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from portside.see.records import Socket

FAMILIES = (*INET_FAMILIES, "unix", "packet", "netlink", "vsock")
ALL_STATES = tcp_states.ALL

_HEADER_SUFFICES = frozenset(("tcp", "udp", "udplite"))
_ROUNDS = 3
_NOTHING = bytecode.AnyOf(())
_EVERYTHING = bytecode.AllOf(())
_ADDRESS_FAMILY = {4: bytecode.AF_INET, 16: bytecode.AF_INET6}


class InetRequestPart(Record):
    """The kernel's part of one dump request.

    `states` is the mask to ask for, `sport` and `dport` go into the header (0: any), `bytecode` into the attribute
    (`None`: none).  With `exact` each returned socket matched when the kernel looked at it.
    """

    states: int
    sport: int = 0
    dport: int = 0
    bytecode: bytes | None = None
    exact: bool = False


class Plan:
    """How to ask for what `expression` selects; see `plan`."""

    def __init__(
        self,
        expression: Expression,
        device_index: Callable[[str], int] | None,
        cgroup_id: Callable[[str], int] | None,
        marks: bool,
    ) -> None:
        self.expression = expression
        self.parts = conjuncts(pushed_down(expression))
        self._kernel = _Kernel(device_index, cgroup_id, marks)

    def wants(self, family: str, protocol: str = "", netns: str | None = None) -> bool:
        """Tell whether a socket of this family (protocol, network namespace) can match at all."""
        facts = Facts(family, labels_of(protocol, ALL_STATES) if protocol else words.ALL, netns=netns)
        return self._narrow(facts, protocol, ALL_STATES) is not None

    @property
    def residual(self) -> Expression:
        """What is left to check on sockets that `request` brought: all but what only the kernel knows (autobound)."""
        _, built = self._program(list(self.parts))
        return all_of(
            part
            for part, (_, exact) in zip(self.parts, built, strict=True)
            if not (exact and any(isinstance(leaf, Autobound) for leaf in leaves(part)))
        )

    def predicate(self, **how: Any) -> Callable[[Socket], bool]:
        """Return `evaluate.predicate` for sockets read with this plan: what the kernel alone knows is left to it.

        It applies to sockets that sock_diag told (they have a cookie) of a protocol that takes bytecode.
        """
        check = predicate(self.expression, **how)
        residual = self.residual
        if residual == all_of(self.parts):
            return check
        rest = predicate(residual, **how)
        return lambda socket: rest(socket) if socket.cookie and socket.protocol in NARROWED else check(socket)

    def request(self, family: str, protocol: str, states: int = ALL_STATES) -> InetRequestPart | None:
        """Return what to ask for IP sockets of `family` (inet, inet6), `protocol` and `states` (a kernel mask).

        `None` means that none of them can match: no request is needed.
        """
        found = self._narrow(Facts(family, labels_of(protocol, states)), protocol, states)
        if found is None:
            return None
        mask, ports, facts = found
        program, built = self._program([reduced(part, facts) for part in self.parts])
        return InetRequestPart(
            states=mask,
            sport=ports[0],
            dport=ports[1],
            bytecode=program if program and protocol in NARROWED else None,
            exact=protocol in _HEADER_SUFFICES and all(exact for _, exact in built),
        )

    def describe(self) -> list[str]:
        """Return lines for a person: what the kernel decides (for TCP over IPv6), what is decided here."""
        families = [family for family in FAMILIES if self.wants(family)]
        lines = []
        found = self._narrow(Facts("inet6", labels_of("tcp", ALL_STATES)), "tcp", ALL_STATES)
        if found is not None:
            facts = found[2]
            built = [self._kernel.build(reduced(part, facts)) for part in self.parts]
            pairs = list(zip(self.parts, built, strict=True))
            lines.append(_line("kernel", [part for part, (_, exact) in pairs if exact]))
            rough = [part for part, (test, exact) in pairs if not exact and test != _EVERYTHING]
            lines.append(_line("kernel in part, rest here", rough))
            lines.append(
                _line("here", [part for part, (test, exact) in pairs if not exact and test == _EVERYTHING])
            )
        skipped = [family for family in FAMILIES if family not in families]
        if skipped:
            lines.append(f"not read, nothing there can match: {', '.join(skipped)}")
        return [line for line in lines if line]

    def _narrow(self, facts: Facts, protocol: str, mask: int) -> tuple[int, tuple[int, int], Facts] | None:
        """Return the state mask, the header's ports and all facts that follow; `None` if nothing can match."""
        inet = facts.family in INET_FAMILIES
        sport = dport = 0
        for _ in range(_ROUNDS):
            needed = needed_of(all_of(reduced(part, facts) for part in self.parts))
            labels = facts.states & needed.states
            if inet:
                if not (needed.sport and needed.dport):
                    return None
                if needed.dport[0].first > 0:  # who listens has no peer
                    labels &= ~(1 << tcp_states.LISTEN)
            if inet and protocol in NARROWED:
                mask &= kernel_states(protocol, labels)
                labels = labels_of(protocol, mask)
                sport, dport = single(needed.sport) or sport, single(needed.dport) or dport
            if not labels:
                return None
            facts = Facts(
                facts.family, labels, *self._known_ports(protocol, mask, (sport, dport)), facts.netns
            )
        return mask, (sport, dport), facts

    def _known_ports(self, protocol: str, mask: int, header: tuple[int, int]) -> tuple[int, int]:
        """Return the ports that every returned socket has: the header's, where the kernel always compares it."""
        if protocol not in _HEADER_SUFFICES or (protocol == "tcp" and mask >> tcp_states.BOUND_INACTIVE & 1):
            return 0, 0
        return header

    def _program(self, parts: list[Expression]) -> tuple[bytes, list[tuple[bytecode.Condition, bool]]]:
        """Return the bytecode for `parts` together, and what became of each; what is too long is left out."""
        built = [self._kernel.build(part) for part in parts]
        sizes = [_size(test) for test, _ in built]
        while sum(sizes) > bytecode.LONGEST:
            longest = sizes.index(max(sizes))
            built[longest], sizes[longest] = (_EVERYTHING, False), 0
        tests = tuple(test for test, _ in built if test != _EVERYTHING)
        return (bytecode.assemble(bytecode.AllOf(tests)) if tests else b""), built


def plan(
    expression: Expression,
    *,
    device_index: Callable[[str], int] | None = None,
    cgroup_id: Callable[[str], int] | None = None,
    marks: bool = False,
) -> Plan:
    """Return how to ask the kernel for what `expression` selects.

    Pushed only where the caller vouches for it: `dev` with `device_index` (name -> index in the network namespace
    that is asked, 0: none), `cgroup` with `cgroup_id` (path -> cgroup v2 id, 0: none), `fwmark` with `marks` (the
    kernel refuses the dump without CAP_NET_ADMIN).
    """
    return Plan(expression, device_index, cgroup_id, marks)


def _line(title: str, parts: list[Expression]) -> str:
    return f"{title}: {', '.join(map(str, parts))}" if any(map(str, parts)) else ""


# -- tests as bytecode ---------------------------------------------------------------------------------------------


class _Kernel:
    """Turns a reduced expression into a condition of the kernel: what it cannot decide becomes true, not exact."""

    def __init__(
        self,
        device_index: Callable[[str], int] | None,
        cgroup_id: Callable[[str], int] | None,
        marks: bool,
    ) -> None:
        self.device_index = device_index
        self.cgroup_id = cgroup_id
        self.marks = marks

    def build(self, expression: Expression) -> tuple[bytecode.Condition, bool]:
        """Return the condition and whether it is the expression itself, not weaker."""
        match expression:
            case And(parts) | Or(parts):
                built = [self.build(part) for part in parts]
                tests = [test for test, _ in built]
                exact = all(each for _, each in built)
                if isinstance(expression, And):
                    return _all_of(tests), exact
                return _any_of(tests), exact or (
                    _EVERYTHING in tests and all(e for t, e in built if t == _EVERYTHING)
                )
            case Not(part):
                test = self.leaf(part)
                return (_EVERYTHING, False) if test is None else (bytecode.NotOf(test), True)
        test = self.leaf(expression)
        if test is not None:
            return test, True
        rough = self.wider(expression)
        return (_EVERYTHING if rough is None else rough), False

    def leaf(self, leaf: Expression) -> bytecode.Condition | None:
        """Return the condition that is equal to a test, `None` if the kernel has none."""
        match leaf:
            case Port("port", ranges):
                return _any_of([_ports("sport", ranges), _ports("dport", ranges)])
            case Port(side, ranges):
                return _ports(side, ranges)
            case Host(side, patterns):
                tests = [self.host(side, pattern) for pattern in patterns]
                known = [test for test in tests if test is not None]
                return _any_of(known) if len(known) == len(tests) else None
            case Text("dev", patterns):
                return self.device(patterns)
            case Autobound():
                return bytecode.AUTOBOUND
        return None

    def wider(self, leaf: Expression) -> bytecode.Condition | None:
        """Return a condition that holds wherever the test does; for what records do not tell of every socket."""
        match leaf:
            case Host(side, patterns):
                plain_tests = [self.host(side, pattern.replace(device="")) for pattern in patterns]
                return _any_of([test for test in plain_tests if test is not None])
            case Mark(value, mask) if self.marks:
                return bytecode.mark(value, mask)
            case Text("cgroup", patterns) if self.cgroup_id is not None:
                if any(map(is_glob, patterns)):
                    return None
                numbers = [self.cgroup_id("/" + plain(each).strip("/")) for each in patterns]
                return _any_of([bytecode.cgroup(number) for number in numbers]) if all(numbers) else None
        return None

    def host(self, side: str, pattern: HostPattern) -> bytecode.Condition | None:
        if pattern.family not in ("", *INET_FAMILIES):
            return _NOTHING
        tests: list[bytecode.Condition] = []
        if pattern.device:
            device = self.device((pattern.device,)) if side == "src" else None
            if device is None:
                return None
            tests.append(device)
        code = bytecode.INET_DIAG_BC_S_COND if side == "src" else bytecode.INET_DIAG_BC_D_COND
        address = pattern.address or (bytes(4 if pattern.family == "inet" else 16) if pattern.family else b"")
        port = bytecode.ANY_PORT
        if pattern.ports is not None:
            if address and pattern.ports.first == pattern.ports.last:
                port = pattern.ports.first
            else:
                tests.append(_ports("sport" if side == "src" else "dport", (pattern.ports,)))
        if address:
            tests.append(bytecode.host(code, _ADDRESS_FAMILY[len(address)], address, pattern.bits, port))
        return _all_of(tests)

    def device(self, names: tuple[str, ...]) -> bytecode.Condition | None:
        if self.device_index is None or any(is_glob(name) or not name for name in names):
            return None
        indexes: list[int] = []
        for name in map(plain, names):
            index = self.device_index(name)
            number = int(name) if name.isascii() and name.isdecimal() and len(name) < 10 else 0
            if not index and not number:
                return None  # gone, or in another namespace: its sockets may still be named so
            indexes.extend(each for each in (index, number) if each)
        return _any_of([bytecode.device(index) for index in indexes])


def _ports(side: str, ranges: tuple[Range, ...]) -> bytecode.Condition:
    codes = _PORT_CODES[side]
    return _any_of([_port_range(*codes, each) for each in clamped(ranges)])


_PORT_CODES = {
    "sport": (bytecode.INET_DIAG_BC_S_GE, bytecode.INET_DIAG_BC_S_LE, bytecode.INET_DIAG_BC_S_EQ),
    "dport": (bytecode.INET_DIAG_BC_D_GE, bytecode.INET_DIAG_BC_D_LE, bytecode.INET_DIAG_BC_D_EQ),
}


def _port_range(at_least: int, at_most: int, equal: int, ports: Range) -> bytecode.Condition:
    if ports.first == ports.last:
        return bytecode.port(equal, ports.first)
    bounds = []
    if ports.first > 0:
        bounds.append(bytecode.port(at_least, ports.first))
    if ports.last < LAST_PORT:
        bounds.append(bytecode.port(at_most, ports.last))
    return _all_of(bounds)


def _all_of(tests: Iterable[bytecode.Condition]) -> bytecode.Condition:
    kept = tuple(test for test in tests if test != _EVERYTHING)
    return kept[0] if len(kept) == 1 else bytecode.AllOf(kept)


def _any_of(tests: Iterable[bytecode.Condition]) -> bytecode.Condition:
    kept = tuple(test for test in tests if test != _NOTHING)
    if _EVERYTHING in kept:
        return _EVERYTHING
    return kept[0] if len(kept) == 1 else bytecode.AnyOf(kept)


def _size(test: bytecode.Condition) -> int:
    """Return how many bytes of bytecode a condition takes; more than `LONGEST` if it is too long."""
    try:
        return len(bytecode.assemble(test))
    except BadRequest:
        return bytecode.LONGEST + 1
