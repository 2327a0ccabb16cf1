"""eBPF programs as plain values: a list of instructions and labels, assembled to the kernel's bytes.

A program is data: it can be printed, compared and tested on a machine that could never load it.  A string in the
list is a label; a jump names its label, and `assemble` turns the name into a distance.  One instruction is 8 bytes,
in the byte order of the (little-endian) machines supported, twice that for a 64-bit constant:

     63             32 31            16 15   12 11    8 7             0
    +-----------------+----------------+-------+-------+---------------+
    |    immediate    |     offset     |  src  |  dst  |    opcode     |
    +-----------------+----------------+-------+-------+---------------+
                                                       opcode: |  code   |s| class |   arithmetic and jumps
                                                               | mode |size| class |   loads and stores

Registers: R0 result, R1-R5 arguments (lost in a call), R6-R9 kept over calls, R10 the frame, read-only.
Reference: include/uapi/linux/bpf.h, include/uapi/linux/bpf_common.h and
Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from portside.errors import BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)

# Instruction classes, include/uapi/linux/bpf_common.h; JMP32 and ALU64 in bpf.h.
BPF_LD, BPF_LDX, BPF_ST, BPF_STX, BPF_ALU, BPF_JMP, BPF_JMP32, BPF_ALU64 = range(8)
BPF_X = 0x08  # the operand is a register, else the immediate
BPF_IMM, BPF_MEM = 0x00, 0x60
BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_LSH, BPF_RSH, BPF_MOV = (
    0,
    0x10,
    0x20,
    0x40,
    0x50,
    0x60,
    0x70,
    0xB0,
)
BPF_JA, BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE = 0x00, 0x10, 0x20, 0x30, 0x40, 0x50
BPF_CALL, BPF_EXIT, BPF_JLT, BPF_JLE = 0x80, 0x90, 0xA0, 0xB0
BPF_LD_IMM64 = 0x18  # BPF_LD | BPF_IMM | BPF_DW: the next instruction holds the upper half
SIZES = {4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18}  # BPF_W, BPF_H, BPF_B, BPF_DW
BPF_PSEUDO_MAP_VALUE = (
    2  # src of LD_IMM64: the constant is a map's descriptor, and an offset into its value; 5.2
)
BPF_PSEUDO_KFUNC_CALL = 2  # src of CALL: the constant is the BTF id of a kernel function; 5.13

FORM = Struct("<BBhi")


class Instruction(Record):
    """One instruction; `target` is the label a jump goes to, empty where `offset` is a number already."""

    opcode: int
    dst: int = 0
    src: int = 0
    offset: int = 0
    immediate: int = 0
    target: str = ""


if TYPE_CHECKING:
    Program: TypeAlias = Sequence[Instruction | str]


def mov(dst: int, src: int) -> Instruction:
    """Copy register `src` to `dst`."""
    return Instruction(BPF_ALU64 | BPF_MOV | BPF_X, dst, src)


def mov_imm(dst: int, value: int) -> Instruction:
    """Set `dst` to a constant of 32 bits, sign extended to 64."""
    return Instruction(BPF_ALU64 | BPF_MOV, dst, immediate=value)


def load_map_value(dst: int, map_descriptor: int, offset: int = 0) -> Instruction:
    """Set `dst` to an address in the only value of an array map."""
    return Instruction(BPF_LD_IMM64, dst, BPF_PSEUDO_MAP_VALUE, immediate=offset << 32 | map_descriptor)


def alu(operation: int, dst: int, src: int) -> Instruction:
    """`dst = dst operation src`, both registers, 64 bits."""
    return Instruction(BPF_ALU64 | operation | BPF_X, dst, src)


def alu_imm(operation: int, dst: int, value: int) -> Instruction:
    """`dst = dst operation value`, 64 bits."""
    return Instruction(BPF_ALU64 | operation, dst, immediate=value)


def load(dst: int, src: int, offset: int, size: int = 8) -> Instruction:
    """`dst = *(size bytes *)(src + offset)`, zero extended."""
    return Instruction(BPF_LDX | BPF_MEM | SIZES[size], dst, src, offset)


def store(dst: int, offset: int, src: int, size: int = 8) -> Instruction:
    """`*(size bytes *)(dst + offset) = src`."""
    return Instruction(BPF_STX | BPF_MEM | SIZES[size], dst, src, offset)


def jump(target: str) -> Instruction:
    """Go to a label."""
    return Instruction(BPF_JMP | BPF_JA, target=target)


def jump_if(condition: int, dst: int, src: int, target: str) -> Instruction:
    """Go to a label if `dst condition src`, both registers, 64 bits."""
    return Instruction(BPF_JMP | condition | BPF_X, dst, src, target=target)


def jump_if_imm(condition: int, dst: int, value: int, target: str) -> Instruction:
    """Go to a label if `dst condition value`; the constant is sign extended to 64 bits."""
    return Instruction(BPF_JMP | condition, dst, immediate=value, target=target)


def jump32_if_imm(condition: int, dst: int, value: int, target: str) -> Instruction:
    """Go to a label if the low 32 bits of `dst condition value`, both without a sign; since 5.1."""
    return Instruction(BPF_JMP32 | condition, dst, immediate=_signed(value), target=target)


def call(helper: int) -> Instruction:
    """Call a kernel helper by its number in enum bpf_func_id."""
    return Instruction(BPF_JMP | BPF_CALL, immediate=helper)


def call_kernel(btf_id: int) -> Instruction:
    """Call a kernel function that is open to programs (a kfunc) by its BTF id."""
    return Instruction(BPF_JMP | BPF_CALL, src=BPF_PSEUDO_KFUNC_CALL, immediate=btf_id)


def exit_() -> Instruction:
    """Return R0."""
    return Instruction(BPF_JMP | BPF_EXIT)


def assemble(program: Program) -> bytes:
    """Turn a program into the kernel's instruction array.

    Raises BadRequest where a label is missing or doubled, or a number does not fit its field.
    """
    places = _places(program)
    code = bytearray()
    for instruction in program:
        if not isinstance(instruction, str):
            code += _encode(instruction, len(code) // 8, places)
    return bytes(code)


def _places(program: Program) -> dict[str, int]:
    """Find each label's place, counted in slots of 8 bytes."""
    places: dict[str, int] = {}
    slot = 0
    for item in program:
        if not isinstance(item, str):
            slot += 2 if item.opcode == BPF_LD_IMM64 else 1
        elif item in places:
            raise BadRequest("assemble", "bpf program", f"label {item!r} stands twice")
        else:
            places[item] = slot
    return places


def _encode(instruction: Instruction, slot: int, places: dict[str, int]) -> bytes:
    """Encode one instruction that stands at `slot`."""
    opcode, dst, src = instruction.opcode, instruction.dst, instruction.src
    offset, immediate, target = instruction.offset, instruction.immediate, instruction.target
    if target:
        if target not in places:
            raise BadRequest("assemble", "bpf program", f"no label {target!r}")
        offset = places[target] - slot - 1
    if (dst | src) >> 4:
        raise BadRequest("assemble", f"bpf instruction {slot}", "a register's number is above 15")
    try:
        if opcode != BPF_LD_IMM64:
            return FORM.pack(opcode, src << 4 | dst, offset, immediate)
        low, high = _signed(immediate), _signed(immediate >> 32)
        return FORM.pack(opcode, src << 4 | dst, offset, low) + FORM.pack(0, 0, 0, high)
    except StructError as problem:
        raise BadRequest("assemble", f"bpf instruction {slot}", str(problem)) from None


def _signed(value: int) -> int:
    """The low 32 bits as the kernel's __s32."""
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
