"""Lookups in the kernel's type descriptions, on small blobs made here."""

from __future__ import annotations

import struct

import pytest
from tests.btf_blobs import Blob, small_kernel

from portside.errors import BadReply, NotSupported
from portside.wire.btf import Btf


@pytest.fixture(scope="module")
def btf():
    return Btf(small_kernel().build())


@pytest.mark.parametrize(
    ("path", "offset"),
    [
        ("first", 0),
        ("left", 8),  # a member of an anonymous union stands in the outer struct
        ("right", 8),
        ("right.b", 12),
        ("named", 16),
        ("named.b", 20),  # through typedef and const
        ("numbers", 24),
        ("link", 40),
    ],
)
def test_offset_of_a_member(btf, path, offset):
    assert btf.member_offset("outer", path) == offset
    assert btf.resolve(f"outer.{path}") == offset


def test_offset_of_a_bit_field_is_that_of_its_byte(btf):
    assert (btf.member_offset("flags", "low"), btf.member_offset("flags", "high")) == (0, 1)


def test_sizes_and_ids(btf):
    assert btf.struct_size("outer") == btf.resolve("size:outer") == 64
    assert btf.struct_size("inner_t") == 8
    assert btf.resolve("type:inner") == 2
    assert btf.func_id("do_it") == btf.resolve("func:do_it")


def test_enumerators(btf):
    assert btf.enum_value("GREEN") == 5
    assert btf.enum_value("NONE") == -1
    assert btf.enum_value("HUGE") == 1 << 40


@pytest.mark.parametrize(
    "ask",
    [
        lambda btf: btf.struct_size("absent"),
        lambda btf: btf.struct_size("do_it"),
        lambda btf: btf.struct_size("number_t"),
        lambda btf: btf.struct_size(""),
        lambda btf: btf.member_offset("outer", "absent"),
        lambda btf: btf.member_offset("outer", "link.a"),  # through a pointer
        lambda btf: btf.member_offset("outer", "fir"),
        lambda btf: btf.func_id("outer"),
        lambda btf: btf.enum_value("BLUE"),
        lambda btf: btf.enum_value("first"),
    ],
)
def test_what_the_kernel_does_not_have_is_not_supported(btf, ask):
    with pytest.raises(NotSupported):
        ask(btf)


def test_a_name_is_found_as_a_whole():
    blob = Blob()
    blob.struct("my_inode", 8)
    blob.struct("inode", 4)
    assert Btf(blob.build()).struct_size("inode") == 4


def test_loops_in_a_broken_blob_end():
    blob = Blob()
    blob.alias(8, "turn", 1)
    blob.struct("nest", 4, ("", 2, 0), ("", 2, 0))
    btf = Btf(blob.build())
    with pytest.raises(BadReply):
        btf.struct_size("turn")
    with pytest.raises(NotSupported):
        btf.member_offset("nest", "absent")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: b"",
        lambda blob: blob[:20],
        lambda blob: blob[:-1],
        lambda blob: blob[:100],
        lambda blob: b"\xeb\x9f" + blob[2:],
        lambda blob: blob[:24] + struct.pack("=III", 0, 31 << 24, 0) + blob[36:],  # a kind that is not
        lambda blob: blob[:24] + struct.pack("=III", 0, 4 << 24 | 0xFFFF, 0) + blob[36:],  # too many members
        lambda blob: blob[:12] + struct.pack("=I", 7) + blob[16:],  # a section of no whole words
    ],
)
def test_a_broken_blob_is_a_bad_reply(spoil):
    with pytest.raises(BadReply):
        Btf(spoil(small_kernel().build()))


def test_a_type_that_does_not_exist_is_a_bad_reply():
    blob = Blob()
    blob.alias(8, "lost", 99)
    with pytest.raises(BadReply):
        Btf(blob.build()).struct_size("lost")
