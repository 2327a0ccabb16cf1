"""ss's filter as a tree of conditions: decided on a socket here, and told to the kernel as far as it understands.

As in ss both decide: the kernel leaves out what it can, and what it returns is looked at once more.  So its knowledge
counts where it has more (whether a port was chosen by bind(2) itself), and ours where it has none (other families
than IP).  What ss does not tell the kernel, `dev` and hosts of several addresses, is told here: it only leaves out
sooner what would be left out anyway.
Reference: run_ssfilter and ssfilter_bytecompile in misc/ss.c of iproute2 6.1.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.faces.ss.context import Subject
from portside.record import Record
from portside.wire import bytecode
from portside.wire.sock_diag import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Ephemeral = Callable[[int], bool]

ANY_PORT = -1
AF_UNSPEC = 0
_MAPPED = bytes(10) + b"\xff\xff"
_WORD = 0xFFFFFFFF
_LAST_RESERVED = 1023
_DEEPEST = 100  # levels of conditions that are told to the kernel
_AUTOBOUND = 5  # hexadecimal digits of a name that the kernel chose for a Unix socket


class Node(Record):
    """A filter."""


class Both(Node):
    """Holds if both do."""

    first: Node
    second: Node


class Either(Node):
    """Holds if one does."""

    first: Node
    second: Node


class Not(Node):
    """Holds if the other does not."""

    part: Node


class Autobound(Node):
    """The local end was chosen by the kernel."""


class Place(Record):
    """One address of a host: its bytes and how many bits of it count."""

    family: int
    address: bytes
    bits: int


class End(Node):
    """An end of the socket: its address in one of `places` (none: any), its port `port`; or a Unix name."""

    local: bool
    places: tuple[Place, ...] = ()
    port: int = ANY_PORT
    family: int = AF_UNSPEC
    pattern: str | None = None


class Order(Node):
    """A port at least, or at most, `port`."""

    local: bool
    least: bool
    port: int


class Device(Node):
    """The interface the socket is bound to."""

    index: int


class Mark(Node):
    """mark & mask == value."""

    value: int
    mask: int


class Cgroup(Node):
    """The cgroup the socket was made in."""

    number: int


def holds(node: Node, subject: Subject, ephemeral: Ephemeral) -> bool:
    """Return whether a socket is selected; `ephemeral` tells whether a port is in the range of automatic ones."""
    match node:
        case Both() | Either():
            first, rest = _chain(node)
            value = holds(first, subject, ephemeral)
            for both, part in rest:
                if value == both:
                    value = holds(part, subject, ephemeral)
            return value
        case Not(part):
            return not holds(part, subject, ephemeral)
        case End():
            return _at(node, subject)
        case Order(local, least, port):
            own = subject.local_port if local else subject.remote_port
            return own >= port if least else own <= port
        case Device(index):
            return subject.interface == index
        case Mark(value, mask):
            return subject.mark & mask == value
        case Cgroup(number):
            return subject.cgroup == number
    return _autobound(subject, ephemeral)


def _chain(node: Node) -> tuple[Node, list[tuple[bool, Node]]]:
    """Return the first of a chain of `and` and `or`, and what follows: whether it is `and`, and the part.

    A chain may have thousands of parts: what is nested as deep as that cannot be walked by recursion.
    """
    rest: list[tuple[bool, Node]] = []
    while isinstance(node, (Both, Either)):
        rest.append((isinstance(node, Both), node.second))
        node = node.first
    return node, rest[::-1]


def _at(node: End, subject: Subject) -> bool:
    own = subject.local if node.local else subject.remote
    if node.family == AF_UNIX:
        return node.pattern is None or _name_matches(node.pattern, own)
    if node.port not in (ANY_PORT, subject.local_port if node.local else subject.remote_port):
        return False
    return not node.places or any(_inside(own, place, subject.family) for place in node.places)


def _name_matches(pattern: str, name: bytes | str | None) -> bool:
    """Match a Unix name by fnmatch(3), capitals like small letters."""
    from portside.system.posix_regex import glob_matches

    return glob_matches(pattern, name if isinstance(name, str) else "")


def _inside(own: bytes | str | None, place: Place, family: int) -> bool:
    """Compare the first bits of an address; IPv4's also with what an IPv6 address that stands for one ends with."""
    if not isinstance(own, bytes):
        own = b""
    if place.family == AF_INET and family == AF_INET6 and own.startswith(_MAPPED):
        own = own[12:]
    size = (place.bits + 7) // 8
    shift = 8 * size - place.bits
    mine, asked = (int.from_bytes(raw[:size].ljust(size, b"\0"), "big") for raw in (own, place.address))
    return mine >> shift == asked >> shift


def _autobound(subject: Subject, ephemeral: Ephemeral) -> bool:
    match subject.family:
        case family if family == AF_UNIX:
            name = subject.local
            if not isinstance(name, str):
                return True
            digits = name[1:]
            return name[:1] == "@" and len(digits) == _AUTOBOUND and not digits.strip("0123456789abcdef")
        case family if family == AF_PACKET:
            return subject.local_port == 0 and not any(subject.local or b"")
        case family if family == AF_NETLINK:
            return subject.local_port < 0
        case family if family == AF_VSOCK:
            return subject.local_port > _LAST_RESERVED
    return ephemeral(subject.local_port)


def program(node: Node | None) -> bytes:
    """Return what the kernel is told of a filter, nothing where a part of it is not about IP sockets."""
    told = _condition(node) if node is not None else None
    if told is None:
        return b""
    try:
        return bytecode.assemble(told)
    except BadRequest:  # too long: then we decide alone
        return b""


def _condition(node: Node) -> bytecode.Condition | None:
    match node:
        case Both() | Either():
            return _joined(*_chain(node))
        case Not(part):
            inner = _condition(part)
            return bytecode.NotOf(inner) if inner is not None else None
        case End():
            return _host(node)
        case Order(local, least, port):
            return bytecode.port(_ORDER[local, least], port & 0xFFFF)
        case Device(index):
            return bytecode.device(index)
        case Mark(value, mask):
            return bytecode.mark(value, mask)
        case Cgroup(number):
            return bytecode.cgroup(number)
    return bytecode.AUTOBOUND


def _joined(first: Node, rest: list[tuple[bool, Node]]) -> bytecode.Condition | None:
    """Return a chain as conditions of many parts, one more level where `and` and `or` change."""
    whole = _condition(first)
    levels = 0
    while rest and whole is not None:
        kind = rest[0][0]
        count = next((number for number, (both, _) in enumerate(rest) if both != kind), len(rest))
        parts = [_condition(part) for _, part in rest[:count]]
        told = [part for part in parts if part is not None]
        levels += 1
        if len(told) < count or levels > _DEEPEST:
            return None
        whole = bytecode.AllOf((whole, *told)) if kind else bytecode.AnyOf((whole, *told))
        rest = rest[count:]
    return whole


_ORDER = {
    (True, True): bytecode.INET_DIAG_BC_S_GE,
    (True, False): bytecode.INET_DIAG_BC_S_LE,
    (False, True): bytecode.INET_DIAG_BC_D_GE,
    (False, False): bytecode.INET_DIAG_BC_D_LE,
}


def _host(node: End) -> bytecode.Condition | None:
    if node.family not in (AF_UNSPEC, AF_INET, AF_INET6) or any(not one.family for one in node.places):
        return None
    code = bytecode.INET_DIAG_BC_S_COND if node.local else bytecode.INET_DIAG_BC_D_COND
    if not node.places:
        return bytecode.host(code, AF_UNSPEC, b"", 0, node.port)
    tests = tuple(
        bytecode.host(code, place.family, place.address, place.bits, node.port) for place in node.places
    )
    return tests[0] if len(tests) == 1 else bytecode.AnyOf(tests)
