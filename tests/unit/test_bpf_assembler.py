"""Each constructor's bytes and text, labels, and what does not fit."""

from __future__ import annotations

import pytest
from tests.bpf_text import decode, disassemble

from portside.errors import BadReply, BadRequest
from portside.wire import holder_programs
from portside.wire.bpf import (
    BPF_ADD,
    BPF_AND,
    BPF_JEQ,
    BPF_JGT,
    R0,
    R1,
    R2,
    R6,
    R10,
    Instruction,
    alu,
    alu_imm,
    assemble,
    call,
    call_kernel,
    exit_,
    jump,
    jump32_if_imm,
    jump_if,
    jump_if_imm,
    load,
    load_map_value,
    mov,
    mov_imm,
    store,
)

# Bytes worked out by hand from the layout of instruction-set.rst, text as in the verifier's log.
GOLDEN = [
    (mov(R6, R1), "bf16000000000000", "r6 = r1"),
    (mov_imm(R0, -1), "b7000000ffffffff", "r0 = -1"),
    (alu(BPF_ADD, R1, R2), "0f21000000000000", "r1 += r2"),
    (alu_imm(BPF_AND, R1, 255), "57010000ff000000", "r1 &= 255"),
    (load(R1, R6, 24), "7961180000000000", "r1 = *(u64 *)(r6 +24)"),
    (load(R1, R6, 16, 4), "6161100000000000", "r1 = *(u32 *)(r6 +16)"),
    (load(R1, R6, 2, 2), "6961020000000000", "r1 = *(u16 *)(r6 +2)"),
    (load(R1, R6, 1, 1), "7161010000000000", "r1 = *(u8 *)(r6 +1)"),
    (store(R10, -8, R1), "7b1af8ff00000000", "*(u64 *)(r10 -8) = r1"),
    (store(R10, -4, R1, 4), "631afcff00000000", "*(u32 *)(r10 -4) = r1"),
    (call(127), "850000007f000000", "call 127"),
    (call_kernel(64261), "8520000005fb0000", "call kernel 64261"),
    (exit_(), "9500000000000000", "exit"),
    (load_map_value(R2, 5, 8), "18220000050000000000000008000000", "r2 = map[5] +8 ll"),
]


@pytest.mark.parametrize(("instruction", "code", "text"), GOLDEN, ids=lambda value: str(value)[:30])
def test_golden(instruction, code, text):
    assert assemble([instruction]).hex() == code
    assert disassemble(bytes.fromhex(code)) == f"0: {text}"
    assert assemble(decode(bytes.fromhex(code))).hex() == code


def test_jumps_go_to_their_labels_over_wide_constants():
    program = [
        "again",
        jump_if_imm(BPF_JEQ, R1, 0, "done"),
        load_map_value(R2, 1),
        jump_if(BPF_JGT, R1, R2, "again"),
        jump32_if_imm(BPF_JEQ, R1, 0xFFFFFFFF, "again"),
        jump("done"),
        "done",
        exit_(),
    ]
    assert disassemble(assemble(program)).splitlines() == [
        "0: if r1 == 0 goto pc+5",
        "1: r2 = map[1] +0 ll",
        "3: if r1 > r2 goto pc-4",
        "4: if w1 == -1 goto pc-5",
        "5: goto pc+0",
        "6: exit",
    ]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ([jump("nowhere")], "no label 'nowhere'"),
        (["here", "here"], "label 'here' stands twice"),
        ([mov_imm(R0, 1 << 31)], "instruction 0"),
        ([exit_(), load(R0, R1, 1 << 15)], "instruction 1"),
        ([jump("end"), *[exit_()] * 40000, "end"], "instruction 0"),
        ([mov(99, R1)], "instruction 0"),
    ],
)
def test_what_cannot_be_assembled_is_a_bad_request(program, says):
    with pytest.raises(BadRequest, match=says):
        assemble(program)


@pytest.mark.parametrize("code", ["00", "18010000", "1801000002000000", "18010000020000009500000000000000"])
def test_what_cannot_be_decoded_is_a_bad_reply(code):
    with pytest.raises(BadReply):
        disassemble(bytes.fromhex(code))


def test_an_unknown_instruction_is_shown_as_numbers():
    assert (
        disassemble(assemble([Instruction(0xDB, R1, R2, 8, 1)]))
        == "0: opcode=219 dst=1 src=2 offset=8 immediate=1"
    )
    assert disassemble(bytes(8)) == "0: opcode=0"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 50, 511])
def test_the_comparison_tree_finds_each_wanted_number_and_no_other(count):
    wanted = sorted({7 * number * number % (1 << 32) + 3 for number in range(count)} | {0xFFFFFFF0})
    tree = [
        *holder_programs.match(R1, wanted, "hit", "miss"),
        "hit",
        mov_imm(R0, 1),
        exit_(),
        "miss",
        exit_(),
    ]
    program = decode(assemble(tree))
    for number in wanted:
        assert runs_to(program, number) == (len(program) - 3), number
        assert runs_to(program, number + 1 if number + 1 not in wanted else number - 1) == len(program) - 1
    assert max(steps(program, number) for number in wanted) <= 2 * len(wanted).bit_length() + 6


def walk(program, value):
    """Where each step of a program of 32-bit comparisons and jumps stands, until it comes to another instruction."""
    at = 0
    while True:
        yield at
        one = program[at]
        number = one.immediate & 0xFFFFFFFF
        if one.opcode not in (0x05, 0x16, 0x36):
            return
        if one.opcode == 0x05 or (value == number if one.opcode == 0x16 else value >= number):
            at += one.offset
        at += 1


def runs_to(program, value):
    return list(walk(program, value))[-1]


def steps(program, value):
    return len(list(walk(program, value)))


LAYOUT = {name: 8 * (1 + number) for number, name in enumerate(holder_programs.SCAN_NEEDS)} | {
    name: 800 + number for number, name in enumerate(holder_programs.WALK_NEEDS)
}


@pytest.mark.parametrize("wanted", [None, [5], list(range(1, 500))], ids=["all", "one", "many"])
def test_programs_are_the_same_each_time_and_survive_a_round_trip(wanted):
    for build in (
        lambda: holder_programs.scan(LAYOUT, 3, 100, wanted),
        lambda: holder_programs.walk(LAYOUT, wanted),
    ):
        code = assemble(build())
        assert code == assemble(build()) == assemble(decode(code))
        assert disassemble(code).endswith("exit")
