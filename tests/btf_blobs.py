"""A small builder of BTF blobs: types in order, ids from 1, names put into the string section as they come."""

from __future__ import annotations

import struct


class Blob:
    def __init__(self):
        self.types = b""
        self.strings = b"\0"
        self.count = 0

    def name(self, text):
        if not text:
            return 0
        found = self.strings.find(b"\0" + text.encode() + b"\0") + 1
        if not found:
            found = len(self.strings)
            self.strings += text.encode() + b"\0"
        return found

    def add(self, name, kind, count=0, size=0, flag=0, rest=b""):
        self.types += struct.pack("=III", self.name(name), flag << 31 | kind << 24 | count, size) + rest
        self.count += 1
        return self.count

    def int(self, name, size):
        return self.add(name, 1, size=size, rest=struct.pack("=I", size * 8))

    def pointer(self, target):
        return self.add("", 2, size=target)

    def array(self, element, count):
        return self.add("", 3, rest=struct.pack("=III", element, element, count))

    def struct(self, name, size, *members, kind=4, flag=0):
        """Members: (name, type id, offset in bits)."""
        rest = b"".join(struct.pack("=III", self.name(member), kind, bits) for member, kind, bits in members)
        return self.add(name, kind, len(members), size, flag, rest)

    def union(self, name, size, *members):
        return self.struct(name, size, *members, kind=5)

    def enum(self, name, **values):
        rest = b"".join(struct.pack("=Ii", self.name(one), value) for one, value in values.items())
        return self.add(name, 6, len(values), 4, int(min(values.values()) < 0), rest)

    def enum64(self, name, **values):
        rest = b"".join(
            struct.pack("=III", self.name(one), value & 0xFFFFFFFF, value >> 32)
            for one, value in values.items()
        )
        return self.add(name, 19, len(values), 8, 0, rest)

    def alias(self, kind, name, target):
        """Typedef 8, volatile 9, const 10, restrict 11, function 12, type tag 18."""
        return self.add(name, kind, size=target)

    def build(self):
        sizes = len(self.types), len(self.types), len(self.strings)
        return struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, *sizes) + self.types + self.strings


def small_kernel():
    """Types with each form of member the lookups know."""
    blob = Blob()
    word = blob.int("unsigned int", 4)
    inner = blob.struct("inner", 8, ("a", word, 0), ("b", word, 32))
    const = blob.alias(10, "", inner)
    alias = blob.alias(8, "inner_t", const)
    either = blob.union("", 8, ("left", word, 0), ("right", inner, 0))
    blob.struct("inode", 4, ("i_ino", word, 0))
    blob.struct(
        "outer",
        64,
        ("first", word, 0),
        ("", either, 64),
        ("named", alias, 128),
        ("numbers", blob.array(inner, 2), 192),
        ("link", blob.pointer(inner), 320),
    )
    blob.struct("flags", 4, ("low", word, 4 << 24 | 0), ("high", word, 4 << 24 | 12), flag=1)
    blob.add("outer", 7)  # a forward declaration of the same name
    proto = blob.add("", 13, count=1, rest=struct.pack("=II", 0, word))
    blob.alias(12, "do_it", proto)
    blob.enum("colour", RED=0, GREEN=5, NONE=-1)
    blob.enum64("large", HUGE=1 << 40, TINY=1)
    blob.alias(8, "number_t", word)
    return blob
