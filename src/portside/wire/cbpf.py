"""Classic BPF, the filter in front of a socket (include/uapi/linux/filter.h, bpf_common.h).

A program is a list of instructions over the bytes of a packet; what it returns is how many of them are kept, 0 for
none.  `answers` is written for a SOCK_DGRAM packet socket: byte 0 is the first of the IP header.
"""

from __future__ import annotations

from struct import Struct

from portside.wire.packets import ICMP, ICMPV6, TCP, UDP

_INSTRUCTION = Struct("=HBBI")  # struct sock_filter

# Opcodes: size and mode of a load into A, X = 4 * (low nibble of byte k), A &= k, tests of A, the end.
LOAD_BYTE, LOAD_HALF, LOAD_BYTE_X, LOAD_HALF_X = 0x30, 0x28, 0x50, 0x48
LOAD_X_LENGTH = 0xB1
AND, EQUAL, AT_LEAST, ABOVE, ANY_BIT = 0x54, 0x15, 0x35, 0x25, 0x45
RETURN = 0x06

Step = tuple[
    int, int, str, str
]  # opcode, operand, label if the test holds, label if not; "" is the next step


def assemble(steps: list[Step | str]) -> bytes:
    """Return the instructions end to end; a string in the list is a label for the step behind it."""
    labels: dict[str, int] = {}
    code: list[Step] = []
    for step in steps:
        if isinstance(step, str):
            labels[step] = len(code)
        else:
            code.append(step)
    made = []
    for at, (opcode, operand, yes, no) in enumerate(code):
        jumps = (labels[label] - at - 1 if label else 0 for label in (yes, no))
        made.append(_INSTRUCTION.pack(opcode, *jumps, operand))
    return b"".join(made)


def answers(low: int, high: int, keep: int) -> bytes:
    """Return the filter that keeps what may answer probes sent from ports `low` to `high`, `keep` bytes of each.

    Kept: TCP with RST, or with SYN and ACK, and UDP, to these ports; ICMP errors of the kinds that `packets.icmp`
    reads.  Of IPv6 with extension headers nothing is seen.
    """
    port: list[Step | str] = [
        "port", (AT_LEAST, low, "", "no"), (ABOVE, high, "no", "yes"),
        "yes", (RETURN, keep, "", ""),
        "no", (RETURN, 0, "", ""),
    ]  # fmt: skip
    version: list[Step | str] = [(LOAD_BYTE, 0, "", ""), (AND, 0xF0, "", ""), (EQUAL, 0x40, "", "six")]
    return assemble([*version, *_FOUR, "six", *_SIX, *port])


_FOUR: list[Step | str] = [
    (LOAD_HALF, 6, "", ""), (ANY_BIT, 0x1FFF, "no", ""),  # a later fragment
    (LOAD_X_LENGTH, 0, "", ""), (LOAD_BYTE, 9, "", ""),
    (EQUAL, TCP, "tcp4", ""), (EQUAL, UDP, "port4", ""), (EQUAL, ICMP, "", "no"),
    (LOAD_BYTE_X, 0, "", ""), (EQUAL, 3, "yes", ""), (EQUAL, 11, "yes", "no"),
    "tcp4", (LOAD_BYTE_X, 13, "", ""), (ANY_BIT, 0x04, "port4", ""), (AND, 0x12, "", ""), (EQUAL, 0x12, "", "no"),
    "port4", (LOAD_HALF_X, 2, "", ""), (AT_LEAST, 0, "port", "port"),
]  # fmt: skip
_SIX: list[Step | str] = [
    (LOAD_BYTE, 0, "", ""), (AND, 0xF0, "", ""), (EQUAL, 0x60, "", "no"), (LOAD_BYTE, 6, "", ""),
    (EQUAL, TCP, "tcp6", ""), (EQUAL, UDP, "port6", ""), (EQUAL, ICMPV6, "", "no"),
    (LOAD_BYTE, 40, "", ""), (EQUAL, 1, "yes", ""), (EQUAL, 3, "yes", "no"),
    "tcp6", (LOAD_BYTE, 53, "", ""), (ANY_BIT, 0x04, "port6", ""), (AND, 0x12, "", ""), (EQUAL, 0x12, "", "no"),
    "port6", (LOAD_HALF, 42, "", ""), (AT_LEAST, 0, "port", "port"),
]  # fmt: skip
