"""The open flags of a descriptor as +fg writes them: fcntl.h's O_ names, shortened as lsof shortens them."""

from __future__ import annotations

# include/uapi/asm-generic/fcntl.h, in lsof's order
_NAMES = (
    (0o1, "W"), (0o2, "RW"), (0o100, "CR"), (0o200, "EXCL"), (0o400, "NTTY"), (0o1000, "TR"), (0o2000, "AP"),
    (0o4000, "ND"), (0o4010000, "SYN"), (0o20000, "ASYN"), (0o40000, "DIR"), (0o200000, "DTY"),
    (0o400000, "NFLK"), (0o1000000, "NATM"), (0o10000, "DSYN"), (0o4010000, "RSYN"), (0o100000, "LG"),
    (0o2000000, "CX"), (0o10000000, "PATH"), (0o20200000, "TMPF"),
)  # fmt: skip


def flags_text(flags: int | None, in_hex: bool) -> str:
    """Return flags by name, or the number; process flags, which Linux has none of, stand behind a semicolon."""
    if flags is None:
        return ""
    if in_hex:
        return f"{_hex(flags)};0x0"
    found = []
    for bits, name in _NAMES:
        if flags & bits:
            found.append(name)
            flags &= ~bits
    return ",".join([*found, *([_hex(flags)] if flags else [])])


def _hex(number: int) -> str:
    return f"0x{number:x}"
