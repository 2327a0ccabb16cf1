"""The kernel's own type descriptions (BTF): sizes, offsets, enum values and type ids, looked up by name.

A blob is a header, a section of type records and a section of strings.  A type's id is its ordinal, so ids need one
walk over all records (some 100,000): that walk does nothing but note where each starts.  A name is then found
with bytes.find, first in the strings, next its offset in the type records, and the note tells whose record that is.
Nothing is decoded that was not asked for.

The blob is in the byte order of the machine that reads it; a name that this kernel does not have is NotSupported, a
blob that contradicts itself BadReply.
Reference: include/uapi/linux/btf.h, Documentation/bpf/btf.rst.
"""

from __future__ import annotations

from bisect import bisect_right
from struct import Struct
from sys import byteorder

from portside.errors import BadReply, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BTF_MAGIC = 0xEB9F
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST = range(1, 11)
RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)

# What follows the common 12 bytes of a record, in words of 4 bytes: once, and for each of its `vlen` members.
_FIXED = {INT: 1, ARRAY: 3, VAR: 1, DECL_TAG: 1}
_EACH = {STRUCT: 3, UNION: 3, ENUM: 2, FUNC_PROTO: 2, DATASEC: 3, ENUM64: 3}
_MODIFIERS = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG)
_CHAIN = 64  # a longer chain of typedefs and qualifiers is a loop in a broken blob

_HEADER = Struct("=HBBIIIII")


class _Lengths(dict[int, int]):
    """Words in a record, by its `info` word; each distinct word is worked out once."""

    def __missing__(self, info: int) -> int:
        kind = info >> 24 & 31
        if not 1 <= kind <= ENUM64:
            raise BadReply("read", "btf", f"type kind {kind} is unknown")
        self[info] = length = 3 + _FIXED.get(kind, 0) + _EACH.get(kind, 0) * (info & 0xFFFF)
        return length


class Btf:
    """One BTF blob; making it walks the blob, asking it then costs little.

    A path names a member, dots lead into members that are structs or unions themselves (not pointers), and members
    of anonymous ones are named as in C, as if they stood in the outer one.
    """

    def __init__(self, blob: bytes) -> None:
        if len(blob) < _HEADER.size:
            raise BadReply("read", "btf", f"{len(blob)} bytes are too few for a header")
        magic, _, _, header, type_at, type_size, string_at, string_size = _HEADER.unpack_from(blob)
        if magic != BTF_MAGIC:
            raise BadReply("read", "btf", f"magic is {magic:#x}, not {BTF_MAGIC:#x}")
        if header + max(type_at + type_size, string_at + string_size) > len(blob) or type_size % 4:
            raise BadReply("read", "btf", "a section does not fit the blob")
        self._types = blob[header + type_at : header + type_at + type_size]
        self._strings = blob[header + string_at : header + string_at + string_size]
        self._words = memoryview(self._types).cast("I")
        self._starts = self._walk()
        self._named = list(map(self._words.__getitem__, self._starts))

    def _walk(self) -> list[int]:
        """Note the word at which each type's record starts; index = id - 1, as id 0 is void."""
        words, lengths, end = self._words, _Lengths(), len(self._words)
        starts: list[int] = []
        note = starts.append
        at = 0
        try:
            while at < end:
                note(at)
                at += lengths[words[at + 1]]
        except IndexError:
            at = end + 1
        if at != end:
            raise BadReply("read", "btf", "the last type is cut short")
        return starts

    def struct_size(self, name: str) -> int:
        """Size in bytes of a struct or union, or of a typedef of one."""
        return self._words[self._composite(name) + 2]

    def member_offset(self, struct: str, path: str) -> int:
        """Bytes from the start of a struct to a member; bit fields count by the byte they begin in."""
        at, bits = self._composite(struct), 0
        for name in path.split("."):
            if at < 0:
                raise NotSupported("find", f"'{struct}.{path}'", f"what holds {name!r} is no struct")
            found = self._member(at, name.encode() + b"\0")
            if found is None:
                raise NotSupported("find", f"'{struct}.{path}'", f"this kernel's struct has no {name!r}")
            bits += found[0]
            at = self._struct_at(found[1])
        return bits // 8

    def enum_value(self, name: str) -> int:
        """Value of an enumerator, whichever enum it belongs to."""
        offset = self._name(name).to_bytes(4, byteorder)
        at = self._types.find(offset) if any(offset) else -1  # all zero: nothing has the name
        while at >= 0:
            start = self._starts[bisect_right(self._starts, at // 4) - 1]
            for place, value in self._enumerators(start):
                if place * 4 == at:
                    return value
            at = self._types.find(offset, at + 1)
        raise NotSupported("find", f"enumerator {name!r}", "this kernel has none of that name")

    def func_id(self, name: str) -> int:
        """Type id of a function: what a tracing program names as attach_btf_id."""
        return self.type_id(name, FUNC)

    def resolve(self, wanted: str) -> int:
        """One number by a short name: `func:NAME` and `type:STRUCT` an id, `size:STRUCT`, `STRUCT.PATH` an offset."""
        kind, _, name = wanted.rpartition(":")
        if kind == "func":
            return self.func_id(name)
        if kind == "type":
            return self.type_id(name, STRUCT, UNION)
        if kind == "size":
            return self.struct_size(name)
        struct, _, path = name.partition(".")
        return self.member_offset(struct, path)

    def type_id(self, name: str, *kinds: int) -> int:
        """Id of the first type of a name and of one of these kinds."""
        offset, index = self._name(name), -1
        while offset:
            try:
                index = self._named.index(offset, index + 1)
            except ValueError:
                break
            if self._words[self._starts[index] + 1] >> 24 & 31 in kinds:
                return index + 1
        raise NotSupported("find", f"type {name!r}", "this kernel has none of that name")

    def _composite(self, name: str) -> int:
        at = self._struct_at(self.type_id(name, STRUCT, UNION, TYPEDEF))
        if at < 0:
            raise NotSupported("find", f"struct {name!r}", "the name is no struct on this kernel")
        return at

    def _name(self, name: str) -> int:
        """Offset of a name in the string section, where each stands once; 0, the empty name, if it does not."""
        return self._strings.find(b"\0" + name.encode() + b"\0") + 1

    def _start(self, type_id: int) -> int:
        if not 1 <= type_id <= len(self._starts):
            raise BadReply("read", "btf", f"type {type_id} does not exist")
        return self._starts[type_id - 1]

    def _struct_at(self, type_id: int) -> int:
        """Follow typedefs and qualifiers to a struct or union; -1 where they lead to anything else."""
        for _ in range(_CHAIN):
            if type_id == 0:  # void
                return -1
            at = self._start(type_id)
            kind = self._words[at + 1] >> 24 & 31
            if kind in (STRUCT, UNION):
                return at
            if kind not in _MODIFIERS:
                return -1
            type_id = self._words[at + 2]
        raise BadReply("read", "btf", "a chain of typedefs does not end")

    def _member(self, at: int, name: bytes) -> tuple[int, int] | None:
        """Find a member by name (and its end), in anonymous members too: its offset in bits and its type id."""
        searched: set[int] = set()
        pending = [(at, 0)]
        while pending:
            at, outer = pending.pop()
            searched.add(at)
            info = self._words[at + 1]
            for place in range(at + 3, at + 3 + 3 * (info & 0xFFFF), 3):
                name_at, type_id, offset = self._words[place : place + 3]
                if info >> 31:  # kind_flag: the upper byte is a bit field's width
                    offset &= 0xFFFFFF
                if self._strings.startswith(name, name_at):
                    return outer + offset, type_id
                inner = self._struct_at(type_id) if name_at == 0 else -1
                if inner >= 0 and inner not in searched:
                    pending.append((inner, outer + offset))
        return None

    def _enumerators(self, at: int) -> Iterator[tuple[int, int]]:
        """The enumerators of the record at a word: where each stands, and its value."""
        info = self._words[at + 1]
        kind, signed = info >> 24 & 31, info >> 31
        if kind not in (ENUM, ENUM64):
            return
        bits = 32 if kind == ENUM else 64
        step = _EACH[kind]
        for place in range(at + 3, at + 3 + step * (info & 0xFFFF), step):
            value = self._words[place + 1] | (self._words[place + 2] << 32 if bits == 64 else 0)
            yield place, value - (1 << bits) if signed and value >> bits - 1 else value

    def _string(self, offset: int) -> str:
        end = self._strings.find(b"\0", offset)
        return self._strings[offset : max(end, offset)].decode("utf-8", "replace")
