"""Packets of strangers: any bytes into each codec give a record or None, and nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.wire.packets import ICMP, ICMPV6, checksum, ethernet, icmp, ip, tcp, udp

MANY = settings(max_examples=200, deadline=None)
FIRST = st.sampled_from([b"", b"\x45", b"\x60", b"\x4f", b"\x03", b"\x0b", b"\x88"])
BYTES = st.builds(bytes.__add__, FIRST, st.binary(max_size=160))


@MANY
@given(BYTES)
def test_any_bytes(data):
    packet = ip.read(data)
    if packet is not None:
        assert 0 < packet.start <= packet.end <= len(data)
    for read in (tcp.read, udp.read, ethernet.read_arp, icmp.read_advertisement):
        read(data)
    icmp.read_error(ICMP, data)
    icmp.read_error(ICMPV6, data)


@MANY
@given(st.binary(max_size=99))
def test_a_checksum_makes_the_sum_come_out(data):
    whole = data + bytes(len(data) % 2)
    assert checksum.internet(whole + checksum.internet(whole).to_bytes(2, "big")) == 0


CHAIN = st.lists(st.tuples(st.sampled_from([0, 43, 44, 60, 51, 6, 58]), st.integers(0, 255)), max_size=12)


@MANY
@given(CHAIN, st.binary(max_size=80), st.integers(0, 200))
def test_any_chain_of_extension_headers_ends(chain, rest, length):
    """Too many headers, too long ones, a lying length: read to an end within the bytes, or not at all."""
    kinds = [kind for kind, _ in chain] + [6]
    body = b"".join(bytes([kinds[at + 1], size]) + bytes(6) for at, (_, size) in enumerate(chain)) + rest
    packet = ip.header(bytes(16), bytes(16), kinds[0], length) + body
    found = ip.read(packet)
    if found is not None:
        assert ip.V6.size <= found.start <= found.end <= len(packet)
