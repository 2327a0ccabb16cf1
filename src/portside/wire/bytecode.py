"""INET_DIAG bytecode: the socket filter that the kernel runs inside a dump (include/uapi/linux/inet_diag.h).

A program is a run of four-byte operations, some followed by an operand:

    0        8        16               32
    | code   | yes    | no              | operand ...

Every operation is a test.  If it holds, the kernel goes on `yes` bytes ahead, else `no` bytes ahead; jumps go
forward only, in multiples of four.  Landing exactly on the end accepts the socket; four bytes past it rejects it.

`assemble` turns a tree of tests into such a program, `audit` says what the kernel would say of one, `run` executes it
(for tests and for the fake kernel); both follow net/ipv4/inet_diag.c (inet_diag_bc_audit, inet_diag_bc_run).  The
assembler works from the last operation to the first, so the distance to every target is known when it is needed;
`not` swaps the two targets of what it negates and costs nothing but a jump.
"""

from __future__ import annotations

import struct

from portside.errors import BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INET_DIAG_BC_NOP = 0
INET_DIAG_BC_JMP = 1
INET_DIAG_BC_S_GE = 2
INET_DIAG_BC_S_LE = 3
INET_DIAG_BC_D_GE = 4
INET_DIAG_BC_D_LE = 5
INET_DIAG_BC_AUTO = 6
INET_DIAG_BC_S_COND = 7
INET_DIAG_BC_D_COND = 8
INET_DIAG_BC_DEV_COND = 9
INET_DIAG_BC_MARK_COND = 10  # needs CAP_NET_ADMIN, else the whole dump fails with EPERM
INET_DIAG_BC_S_EQ = 11  # 4.16
INET_DIAG_BC_D_EQ = 12
INET_DIAG_BC_CGROUP_COND = 13  # 5.9, with CONFIG_SOCK_CGROUP_DATA

AF_UNSPEC = 0
AF_INET = 2
AF_INET6 = 10

ANY_PORT = -1  # in struct inet_diag_hostcond
LONGEST = 1 << 14  # `no` reaches 65,532 bytes, but the audit's time grows with the square of the length
EINVAL = 22
EPERM = 1

_OP = struct.Struct("=BBH")  # struct inet_diag_bc_op
_HOST = struct.Struct("=BB2xi")  # struct inet_diag_hostcond, the address follows
_MARK = struct.Struct("=II")  # struct inet_diag_markcond
_DEVICE = struct.Struct("=I")
_CGROUP = struct.Struct("=Q")
_MAPPED = bytes(10) + b"\xff\xff"
_ACCEPT = 0
_REJECT = -4


class Condition(Record):
    """A tree of tests on a socket: `Test` at the leaves, `AllOf`, `AnyOf` and `NotOf` above."""


class Test(Condition):
    """One operation: its code and its operand."""

    __test__ = False  # not a test case, whatever the name makes pytest think

    code: int
    operand: bytes = b""


class AllOf(Condition):
    """Holds if every part does; of no parts, always."""

    parts: tuple[Condition, ...]


class AnyOf(Condition):
    """Holds if one part does; of no parts, never."""

    parts: tuple[Condition, ...]


class NotOf(Condition):
    """Holds if its part does not."""

    part: Condition


class Entry(Record):
    """What the kernel shows a program of one socket (struct inet_diag_entry): addresses as 4 or 16 bytes."""

    family: int
    source: bytes
    destination: bytes
    sport: int = 0
    dport: int = 0
    interface: int = 0
    mark: int = 0
    autobound: bool = False
    cgroup: int = 0


def port(code: int, number: int) -> Test:
    """Return a port test: `code` is one of S_GE, S_LE, S_EQ, D_GE, D_LE, D_EQ."""
    return Test(code, _OP.pack(0, 0, number))


def host(code: int, family: int, address: bytes, bits: int, number: int = ANY_PORT) -> Test:
    """Return an address test (S_COND, D_COND): the first `bits` of `address`, and the port unless `ANY_PORT`.

    An AF_INET test also matches the v4-mapped addresses of IPv6 sockets; an AF_INET6 test never matches an IPv4
    socket.
    """
    return Test(code, _HOST.pack(family, bits, number) + address)


def device(index: int) -> Test:
    """Return the test for sockets bound to the interface of this index (0: bound to none)."""
    return Test(INET_DIAG_BC_DEV_COND, _DEVICE.pack(index))


def mark(value: int, mask: int) -> Test:
    """Return the firewall mark test: mark & mask == value."""
    return Test(INET_DIAG_BC_MARK_COND, _MARK.pack(value, mask))


def cgroup(number: int) -> Test:
    """Return the test for sockets created in the cgroup v2 of this id."""
    return Test(INET_DIAG_BC_CGROUP_COND, _CGROUP.pack(number))


AUTOBOUND = Test(INET_DIAG_BC_AUTO)


def assemble(condition: Condition) -> bytes:
    """Return the program for `condition`, empty if it always holds; BadRequest if it is longer than `LONGEST`."""
    if condition == AllOf(()):
        return b""
    program = _Program()
    program.add(condition, _ACCEPT, _REJECT)
    return b"".join(reversed(program.pieces))


class _Program:
    """A program under construction, last operation first; targets are distances from the end."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0

    def add(self, condition: Condition, yes: int, no: int) -> None:
        """Prepend the code that leads to `yes` if `condition` holds and else to `no`."""
        match condition:
            case Test():
                self._test(condition, yes, no)
            case NotOf():
                self.add(condition.part, no, yes)
            case AllOf():
                for part in reversed(condition.parts[1:]):
                    self.add(part, yes, no)
                    yes = self.size
                self._first(condition.parts, yes, yes, no)
            case AnyOf():
                for part in reversed(condition.parts[1:]):
                    self.add(part, yes, no)
                    no = self.size
                self._first(condition.parts, no, yes, no)

    def _first(self, parts: tuple[Condition, ...], empty: int, yes: int, no: int) -> None:
        """Prepend the first of `parts`; without any, a jump to `empty`, the value of no parts."""
        if parts:
            self.add(parts[0], yes, no)
        elif empty != self.size:
            self._jump(empty)

    def _test(self, test: Test, yes: int, no: int) -> None:
        if yes != self.size:
            self._jump(yes)
        length = _OP.size + len(test.operand)
        self._prepend(_OP.pack(test.code, length, self._distance(length, no)) + test.operand)

    def _jump(self, target: int) -> None:
        self._prepend(_OP.pack(INET_DIAG_BC_JMP, _OP.size, self._distance(_OP.size, target)))

    def _distance(self, length: int, target: int) -> int:
        if self.size + length > LONGEST:
            raise BadRequest("assemble", "socket filter", f"it is longer than {LONGEST} bytes")
        return self.size + length - target

    def _prepend(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self.size += len(piece)


def audit(program: bytes, *, admin: bool = True) -> int:
    """Return what the kernel answers to this program: 0, EINVAL or EPERM (a mark test without CAP_NET_ADMIN)."""
    if len(program) < _OP.size:
        return EINVAL
    starts, offset = {len(program)}, 0
    jumps: list[int] = []
    while offset < len(program):
        starts.add(offset)
        code, yes, no, least = _operation(program, offset)
        if code == INET_DIAG_BC_MARK_COND and not admin:
            return EPERM
        left = len(program) - offset
        if not least or not _reaches(yes, least, left):
            return EINVAL
        if code != INET_DIAG_BC_NOP:
            if not _reaches(no, least, left):
                return EINVAL
            if no < left:
                jumps.append(offset + no)
        offset += yes
    return 0 if offset == len(program) and starts.issuperset(jumps) else EINVAL


def _operation(program: bytes, offset: int) -> tuple[int, int, int, int]:
    """Return code, `yes`, `no` and least length of the operation at `offset`; length 0 means a malformed one."""
    if len(program) - offset < _OP.size:
        return INET_DIAG_BC_NOP, 0, 0, 0
    code, yes, no = _OP.unpack_from(program, offset)
    operand = _OPERANDS.get(code, -1)
    if code in (INET_DIAG_BC_S_COND, INET_DIAG_BC_D_COND) and len(program) - offset >= _OP.size + _HOST.size:
        family, bits = program[offset + 4], program[offset + 5]
        address = {AF_UNSPEC: 0, AF_INET: 4, AF_INET6: 16}.get(family, -1)
        operand = _HOST.size + address if 0 <= bits <= 8 * address else -1
    least = _OP.size + operand
    fits = operand >= 0 and least <= len(program) - offset
    return code, yes, no, least if fits else 0


_OPERANDS = {
    INET_DIAG_BC_NOP: 0,
    INET_DIAG_BC_JMP: 0,
    INET_DIAG_BC_AUTO: 0,
    INET_DIAG_BC_S_GE: _OP.size,
    INET_DIAG_BC_S_LE: _OP.size,
    INET_DIAG_BC_S_EQ: _OP.size,
    INET_DIAG_BC_D_GE: _OP.size,
    INET_DIAG_BC_D_LE: _OP.size,
    INET_DIAG_BC_D_EQ: _OP.size,
    INET_DIAG_BC_DEV_COND: _DEVICE.size,
    INET_DIAG_BC_MARK_COND: _MARK.size,
    INET_DIAG_BC_CGROUP_COND: _CGROUP.size,
}


def _reaches(distance: int, least: int, left: int) -> bool:
    """Tell whether a jump is legal: past its own operation, no further than the reject target, aligned."""
    return least <= distance <= left + 4 and distance % 4 == 0


def run(program: bytes, entry: Entry) -> bool:
    """Execute an audited program on one socket, as the kernel does; no program accepts everything."""
    offset = 0
    while offset < len(program):
        code, yes, no = _OP.unpack_from(program, offset)
        test = _TESTS.get(code)
        offset += yes if test is None or test(entry, program, offset + _OP.size) else no
    return offset == len(program)


def _port_of(program: bytes, operand: int) -> int:
    number: int = _OP.unpack_from(program, operand)[2]
    return number


def _host_matches(family: int, address: bytes, own_port: int, program: bytes, operand: int) -> bool:
    wanted: int
    bits: int
    number: int
    wanted, bits, number = _HOST.unpack_from(program, operand)
    if number not in (ANY_PORT, own_port):
        return False
    if wanted == AF_INET and family == AF_INET6:
        if address[:12] != _MAPPED:
            return False
        address = address[12:]
    elif wanted not in (AF_UNSPEC, family):
        return False
    size = (bits + 7) // 8
    prefix = program[operand + _HOST.size : operand + _HOST.size + size]
    shift = size * 8 - bits
    own, asked = int.from_bytes(address[:size], "big"), int.from_bytes(prefix, "big")
    return own >> shift == asked >> shift


def _mark_matches(entry: Entry, program: bytes, operand: int) -> bool:
    value, mask = _MARK.unpack_from(program, operand)
    return bool((entry.mark & mask) == value)


_TESTS: dict[int, Callable[[Entry, bytes, int], bool]] = {
    INET_DIAG_BC_JMP: lambda entry, program, operand: False,
    INET_DIAG_BC_S_GE: lambda entry, program, operand: entry.sport >= _port_of(program, operand),
    INET_DIAG_BC_S_LE: lambda entry, program, operand: entry.sport <= _port_of(program, operand),
    INET_DIAG_BC_S_EQ: lambda entry, program, operand: entry.sport == _port_of(program, operand),
    INET_DIAG_BC_D_GE: lambda entry, program, operand: entry.dport >= _port_of(program, operand),
    INET_DIAG_BC_D_LE: lambda entry, program, operand: entry.dport <= _port_of(program, operand),
    INET_DIAG_BC_D_EQ: lambda entry, program, operand: entry.dport == _port_of(program, operand),
    INET_DIAG_BC_AUTO: lambda entry, program, operand: entry.autobound,
    INET_DIAG_BC_S_COND: lambda entry, program, operand: _host_matches(
        entry.family, entry.source, entry.sport, program, operand
    ),
    INET_DIAG_BC_D_COND: lambda entry, program, operand: _host_matches(
        entry.family, entry.destination, entry.dport, program, operand
    ),
    INET_DIAG_BC_DEV_COND: lambda entry, program, operand: (
        entry.interface == _DEVICE.unpack_from(program, operand)[0]
    ),
    INET_DIAG_BC_MARK_COND: _mark_matches,
    INET_DIAG_BC_CGROUP_COND: lambda entry, program, operand: (
        entry.cgroup == _CGROUP.unpack_from(program, operand)[0]
    ),
}


_NAMES = (
    "nop", "jmp", "sport>=", "sport<=", "dport>=", "dport<=", "autobound", "src", "dst", "dev", "mark", "sport=",
    "dport=", "cgroup",
)  # fmt: skip


def listing(program: bytes) -> Iterator[str]:
    """Yield one line for each operation: offset, test, operand in hex, target if it fails."""
    offset = 0
    while offset + _OP.size <= len(program):
        code, yes, no = _OP.unpack_from(program, offset)
        name = _NAMES[code] if code < len(_NAMES) else f"op{code}"
        operand = program[offset + _OP.size : offset + yes].hex()
        target = "reject" if offset + no > len(program) else str(offset + no)
        yield f"{offset:5} {name} {operand} else {target}".replace("  else", " else")
        offset += max(yes, _OP.size)
