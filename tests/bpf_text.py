"""eBPF bytes back into instructions and into text: what the assembler wrote, read by another.

The text is the verifier log's, one instruction a line with its slot in front.  What `portside.wire.bpf` never
writes is shown as numbers, so any bytes have a text.
Reference: kernel/bpf/disasm.c.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.wire import bpf
from portside.wire.bpf import FORM, SIZES, Instruction

_OPERATORS = {
    0x00: "+=",
    0x10: "-=",
    0x20: "*=",
    0x30: "/=",
    0x40: "|=",
    0x50: "&=",
    0x60: "<<=",
    0x70: ">>=",
}
_OPERATORS |= {0x90: "%=", 0xA0: "^=", 0xB0: "=", 0xC0: "s>>="}
_CONDITIONS = {0x10: "==", 0x20: ">", 0x30: ">=", 0x40: "&", 0x50: "!=", 0x60: "s>", 0x70: "s>="}
_CONDITIONS |= {0xA0: "<", 0xB0: "<=", 0xC0: "s<", 0xD0: "s<="}
_BITS = {code: size * 8 for size, code in SIZES.items()}


def decode(code: bytes) -> list[Instruction]:
    """Turn bytes back into instructions; distances stay numbers, so assembling them gives the same bytes."""
    if len(code) % 8:
        raise BadReply("decode", "bpf program", f"{len(code)} bytes is no multiple of 8")
    slots = FORM.iter_unpack(code)
    program: list[Instruction] = []
    for opcode, registers, offset, immediate in slots:
        if opcode == bpf.BPF_LD_IMM64:
            upper = next(slots, None)
            if upper is None or upper[:3] != (0, 0, 0):
                raise BadReply("decode", "bpf program", "second half of a 64-bit constant missing")
            immediate = upper[3] << 32 | immediate & 0xFFFFFFFF
        program.append(Instruction(opcode, registers & 15, registers >> 4, offset, immediate))
    return program


def disassemble(code: bytes) -> str:
    """Write a program as text."""
    lines = []
    slot = 0
    for instruction in decode(code):
        lines.append(f"{slot}: {text(instruction)}")
        slot += 2 if instruction.opcode == bpf.BPF_LD_IMM64 else 1
    return "\n".join(lines)


def text(instruction: Instruction) -> str:
    """Write one instruction."""
    kind = instruction.opcode & 7
    if instruction.opcode == bpf.BPF_LD_IMM64:
        known = _constant(instruction)
    elif kind in (bpf.BPF_ALU, bpf.BPF_ALU64):
        known = _arithmetic(instruction)
    elif kind in (bpf.BPF_JMP, bpf.BPF_JMP32):
        known = _jump(instruction)
    else:
        known = _memory(instruction)
    return (
        known or " ".join(f"{field}={value}" for field, value in instruction.items() if value) or "opcode=0"
    )


def _constant(instruction: Instruction) -> str:
    value = instruction.immediate
    if instruction.src == bpf.BPF_PSEUDO_MAP_VALUE:
        return f"r{instruction.dst} = map[{value & 0xFFFFFFFF}] {value >> 32:+d} ll"
    return f"r{instruction.dst} = {value} ll"


def _operand(instruction: Instruction) -> str:
    return f"r{instruction.src}" if instruction.opcode & bpf.BPF_X else str(instruction.immediate)


def _arithmetic(instruction: Instruction) -> str:
    operator = _OPERATORS.get(instruction.opcode & 0xF0)
    if operator is None:  # negation and changes of byte order
        return ""
    register = "r" if instruction.opcode & 7 == bpf.BPF_ALU64 else "w"
    return f"{register}{instruction.dst} {operator} {_operand(instruction)}"


def _jump(instruction: Instruction) -> str:
    code, goto = instruction.opcode & 0xF0, f"goto pc{instruction.offset:+d}"
    if code in _CONDITIONS:
        register = "r" if instruction.opcode & 7 == bpf.BPF_JMP else "w"
        return f"if {register}{instruction.dst} {_CONDITIONS[code]} {_operand(instruction)} {goto}"
    if code == bpf.BPF_CALL:
        kernel = "kernel " if instruction.src == bpf.BPF_PSEUDO_KFUNC_CALL else ""
        return f"call {kernel}{instruction.immediate}"
    return {bpf.BPF_JA: goto, bpf.BPF_EXIT: "exit"}.get(code, "")


def _memory(instruction: Instruction) -> str:
    kind, mode = instruction.opcode & 7, instruction.opcode & 0xE0
    if mode != bpf.BPF_MEM or kind == bpf.BPF_LD:
        return ""
    access, place = f"*(u{_BITS[instruction.opcode & 0x18]} *)", f"{instruction.offset:+d}"
    if kind == bpf.BPF_LDX:
        return f"r{instruction.dst} = {access}(r{instruction.src} {place})"
    value = f"r{instruction.src}" if kind == bpf.BPF_STX else str(instruction.immediate)
    return f"{access}(r{instruction.dst} {place}) = {value}"
