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
