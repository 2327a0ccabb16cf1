"""The assembler, the audit and the interpreter of INET_DIAG bytecode."""

import itertools
import struct

import pytest

from portside.errors import BadRequest
from portside.wire import bytecode
from portside.wire.bytecode import AllOf, AnyOf, Entry, NotOf, assemble, audit, run

S22 = bytecode.port(bytecode.INET_DIAG_BC_S_EQ, 22)
D80 = bytecode.port(bytecode.INET_DIAG_BC_D_EQ, 80)


def entry(sport=0, dport=0, source=bytes(4), destination=bytes(4), **more):
    family = bytecode.AF_INET if len(source) == 4 else bytecode.AF_INET6
    return Entry(family, source, destination, sport, dport, **more)


def test_one_test_is_eight_bytes():
    assert assemble(S22) == struct.pack("=BBHBBH", 11, 8, 12, 0, 0, 22)
    assert list(bytecode.listing(assemble(S22))) == [
        f"    0 sport= {struct.pack('=BBH', 0, 0, 22).hex()} else reject"
    ]


def test_not_swaps_targets():
    program = assemble(NotOf(S22))
    assert program == struct.pack("=BBHBBHBBH", 11, 8, 12, 0, 0, 22, 1, 4, 8)
    assert run(program, entry(sport=23))
    assert not run(program, entry(sport=22))


def test_no_program_accepts_everything():
    assert assemble(AllOf(())) == b""
    assert run(b"", entry())


def test_nothing_is_a_program_too():
    program = assemble(AnyOf(()))
    assert audit(program) == 0
    assert not run(program, entry())


TREES = [
    S22,
    AllOf((S22, D80)),
    AnyOf((S22, D80)),
    NotOf(AllOf((S22, D80))),
    NotOf(AnyOf((S22, NotOf(D80)))),
    AnyOf((AllOf((S22, D80)), AllOf((NotOf(S22), NotOf(D80))))),
    AllOf((AnyOf((S22, D80)), NotOf(AllOf((S22, D80))))),
    AllOf((AllOf(()), S22)),
    AnyOf((AnyOf(()), S22)),
    AnyOf((AllOf((S22, AllOf(()))), D80)),
    AllOf((AnyOf((AllOf(()), S22)), D80)),
    NotOf(AllOf(())),
    NotOf(AnyOf(())),
]


def holds(tree, sport, dport):
    match tree:
        case AllOf(parts):
            return all(holds(part, sport, dport) for part in parts)
        case AnyOf(parts):
            return any(holds(part, sport, dport) for part in parts)
        case NotOf(part):
            return not holds(part, sport, dport)
    return sport == 22 if tree == S22 else dport == 80


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_trees(tree):
    program = assemble(tree)
    assert audit(program) == 0 or program == b""
    for sport, dport in itertools.product((22, 23), (80, 81)):
        assert run(program, entry(sport, dport)) == holds(tree, sport, dport)


def test_comparisons():
    for code, field, accepted in (
        (bytecode.INET_DIAG_BC_S_GE, "sport", (10, 11)),
        (bytecode.INET_DIAG_BC_S_LE, "sport", (9, 10)),
        (bytecode.INET_DIAG_BC_D_GE, "dport", (10, 11)),
        (bytecode.INET_DIAG_BC_D_LE, "dport", (9, 10)),
        (bytecode.INET_DIAG_BC_D_EQ, "dport", (10,)),
    ):
        program = assemble(bytecode.port(code, 10))
        assert tuple(n for n in (9, 10, 11) if run(program, entry(**{field: n}))) == accepted


def test_hosts():
    ten = bytecode.host(bytecode.INET_DIAG_BC_S_COND, bytecode.AF_INET, bytes([10, 0, 0, 0]), 7)
    program = assemble(ten)
    assert len(program) == 16
    assert audit(program) == 0
    assert run(program, entry(source=bytes([11, 9, 9, 9])))
    assert not run(program, entry(source=bytes([12, 0, 0, 0])))
    mapped = bytes(10) + b"\xff\xff" + bytes([10, 1, 1, 1])
    assert run(program, entry(source=mapped, destination=bytes(16)))
    assert not run(program, entry(source=bytes(16), destination=bytes(16)))
    with_port = assemble(
        bytecode.host(bytecode.INET_DIAG_BC_D_COND, bytecode.AF_INET6, b"\xfe" + bytes(15), 8, 5)
    )
    assert run(with_port, entry(dport=5, source=bytes(16), destination=b"\xfe" * 16))
    assert not run(with_port, entry(dport=6, source=bytes(16), destination=b"\xfe" * 16))
    assert not run(with_port, entry(dport=5, source=bytes(4), destination=b"\xfe" * 4))
    any_family = assemble(bytecode.host(bytecode.INET_DIAG_BC_S_COND, bytecode.AF_UNSPEC, b"", 0, 5))
    assert run(any_family, entry(sport=5))


def test_the_rest():
    for test, fits, differs in (
        (bytecode.device(3), {"interface": 3}, {"interface": 2}),
        (bytecode.mark(0x10, 0xF0), {"mark": 0x1F}, {"mark": 0x2F}),
        (bytecode.cgroup(1 << 40), {"cgroup": 1 << 40}, {"cgroup": 1}),
        (bytecode.AUTOBOUND, {"autobound": True}, {}),
    ):
        program = assemble(test)
        assert audit(program) == 0
        assert run(program, entry(**fits))
        assert not run(program, entry(**differs))
        assert len(list(bytecode.listing(program))) == 1


def test_marks_need_a_right():
    assert audit(assemble(bytecode.mark(1, 1)), admin=False) == bytecode.EPERM


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"\0",
        struct.pack("=BBH", 99, 4, 4),
        struct.pack("=BBH", 1, 4, 2),
        struct.pack("=BBH", 1, 4, 12),
        struct.pack("=BBH", 1, 0, 4),
        struct.pack("=BBH", 0, 12, 4),
        struct.pack("=BBH", 11, 8, 8),
        struct.pack("=BBHBBH", 11, 4, 8, 0, 0, 22),
        struct.pack("=BBHBBH", 11, 8, 4, 0, 0, 22),
        struct.pack("=BBHBB2xi", 7, 12, 12, 2, 0, -1),
        struct.pack("=BBHBB2xi4s", 7, 16, 16, 2, 33, -1, b"abcd"),
        struct.pack("=BBHBB2xi4s", 7, 16, 16, 3, 0, -1, b"abcd"),
        struct.pack("=BBH", 1, 4, 8) + struct.pack("=BBHBBH", 11, 8, 8, 0, 0, 22),
    ],
    ids=lambda program: program.hex(),
)
def test_what_the_kernel_refuses(program):
    assert audit(program) == bytecode.EINVAL


def test_too_long_is_said():
    with pytest.raises(BadRequest, match="longer than"):
        assemble(AnyOf(tuple(bytecode.port(bytecode.INET_DIAG_BC_S_EQ, port) for port in range(3000))))
