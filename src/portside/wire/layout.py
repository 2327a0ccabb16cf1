"""A kernel struct as one declaration.

`Layout("nlmsghdr", "I len", "H type", ...)` names the struct and its fields in kernel order with `struct`
format codes (native byte order, no padding but what is written); size, reader and writer follow from it.
A test compares every declared size and offset with the running kernel's BTF.
"""

from __future__ import annotations

import struct

from portside.errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Layout:
    """One C struct: `name`, `fields` in kernel order, `size` in bytes."""

    __slots__ = ("codes", "fields", "name", "size", "struct")

    def __init__(self, name: str, *declarations: str) -> None:
        pairs = [declaration.split() for declaration in declarations]
        self.name = name
        self.codes = "".join(pair[0] for pair in pairs)
        self.fields = tuple(pair[1] for pair in pairs if len(pair) == 2)
        self.struct = struct.Struct("=" + self.codes)
        self.size = self.struct.size

    def read(self, buffer: bytes | bytearray | memoryview, offset: int = 0) -> tuple[Any, ...]:
        """Return the field values at `offset`; raises BadReply if the buffer ends before the struct does."""
        try:
            return self.struct.unpack_from(buffer, offset)
        except struct.error:
            left = memoryview(buffer).nbytes - offset
            raise BadReply(
                "read", f"struct {self.name}", f"it takes {self.size} bytes, {max(left, 0)} are left"
            ) from None

    def write(self, **values: int | bytes) -> bytes:
        """Return the struct's bytes; fields not named are zero."""
        unknown = set(values) - set(self.fields)
        if unknown:
            raise TypeError(f"struct {self.name} has no field {', '.join(sorted(unknown))}")
        zeros = self.struct.unpack(bytes(self.size))
        return self.struct.pack(*(values.get(f, zero) for f, zero in zip(self.fields, zeros, strict=True)))

    def offset(self, field: str) -> int:
        """Return where `field` starts, in bytes from the start of the struct."""
        codes: Iterable[str] = _codes(self.codes)
        position = 0
        names = iter(self.fields)
        for code in codes:
            if not code.endswith("x") and next(names) == field:
                return position
            position += struct.calcsize("=" + code)
        raise KeyError(field)


def _codes(text: str) -> Iterable[str]:
    """Split a format string into single codes with their counts: `2H16s` gives `H`, `H`, `16s`."""
    count = ""
    for character in text:
        if character.isdigit():
            count += character
            continue
        if character in "sx":
            yield count + character
        else:
            yield from character * int(count or 1)
        count = ""
