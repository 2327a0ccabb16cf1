"""The structs that probes are sent and answers are read by, held against the running kernel's own types (BTF)."""

from __future__ import annotations

import socket

import pytest
from tests.kernel_types import kernel_btf

from portside.system import packets
from portside.wire import errqueue, neighbours, packet_ring, xdp

LAYOUTS = {
    layout.name: layout
    for layout in (
        packet_ring.TPACKET_REQ,
        packet_ring.TPACKET2_HDR,
        packet_ring.TPACKET_STATS,
        xdp.XDP_UMEM,
        xdp.SOCKADDR_XDP,
        xdp.DESCRIPTOR,
        packet_ring.SOCKADDR_LL,
        errqueue.SOCK_EXTENDED_ERR,
        neighbours.NDMSG,
    )
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_the_kernel_s_struct(name):
    btf, layout = kernel_btf(), LAYOUTS[name]
    assert layout.size == btf.struct_size(name)
    for field in layout.fields:
        assert layout.offset(field) == btf.member_offset(name, field), f"{name}.{field}"


def test_the_packet_lies_behind_the_slot_s_two_headers():
    """TPACKET_ALIGN is a multiple of 16; net/packet/af_packet.c adds 16 before the network header."""
    heads = kernel_btf().struct_size("tpacket2_hdr") + kernel_btf().struct_size("sockaddr_ll")
    assert (heads + 15) // 16 * 16 + 16 == packet_ring.DATA


def test_the_words_that_are_read_in_bulk():
    """`answers.Reader` reads status, snaplen, seconds and nanoseconds as words 0, 2, 4 and 5 of a slot."""
    names = ("tp_status", "tp_snaplen", "tp_sec", "tp_nsec")
    places = [kernel_btf().member_offset("tpacket2_hdr", name) for name in names]
    assert [place // 4 for place in places] == [0, 2, 4, 5]


def test_the_offsets_of_the_rings_of_af_xdp():
    """Sixteen numbers: producer, consumer, desc, flags of rx, tx, fr (fill) and cr (completion)."""
    btf = kernel_btf()
    assert xdp.MMAP_OFFSETS.size == btf.struct_size("xdp_mmap_offsets")
    each = ("producer", "consumer", "desc", "flags")
    members = [f"{ring}.{name}" for ring in ("rx", "tx", "fr", "cr") for name in each]
    assert [btf.member_offset("xdp_mmap_offsets", name) for name in members] == list(range(0, 128, 8))


def test_what_sendmmsg_takes():
    """`MessageSender` writes struct mmsghdr and struct iovec by hand; on this architecture they are so large."""
    btf = kernel_btf()
    assert (btf.struct_size("mmsghdr"), btf.struct_size("iovec")) == (packets.MMSGHDR, packets.IOVEC)
    assert btf.member_offset("iovec", "iov_len") == 8
    fields = [
        btf.member_offset("user_msghdr", f"msg_{name}") for name in ("name", "namelen", "iov", "iovlen")
    ]
    assert fields == [0, 8, 16, 24]


def test_the_version_of_the_ring_and_the_family_s_names():
    assert kernel_btf().enum_value("TPACKET_V2") == packet_ring.TPACKET_V2
    assert getattr(socket, "AF_XDP", xdp.AF_XDP) == xdp.AF_XDP
