"""Packets: written as the wire has them (bytes of real packets), read back, and never more than what is there."""

from __future__ import annotations

import pytest

from portside.wire import cbpf
from portside.wire.packets import ICMP, ICMPV6, TCP, UDP, checksum, ethernet, icmp, ip, tcp, udp

ME, YOU = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
ME6, YOU6 = bytes.fromhex("20010db8" + "0" * 23 + "1"), bytes.fromhex("20010db8" + "0" * 23 + "2")


def test_checksum_of_rfc_1071():
    """The example of RFC 1071, section 3, and a header that holds its own checksum."""
    assert checksum.total(bytes.fromhex("0001f203f4f5f6f7")) == 0x2DDF0
    assert checksum.fold(0x2DDF0) == 0x220D
    header = bytes.fromhex("45000073000040004011b861c0a80001c0a800c7")
    assert checksum.internet(header) == 0


@pytest.mark.parametrize(("source", "target"), [(ME, YOU), (ME6, YOU6)])
def test_tcp_and_udp_there_and_back(source, target):
    for protocol, segment in (
        (TCP, tcp.segment((source, target), (61000, 443), tcp.SYN, (7, 0), tcp.SYN_OPTIONS)),
        (UDP, udp.datagram((source, target), (61000, 53), b"question")),
    ):
        packet = ip.header(source, target, protocol, len(segment)) + segment
        read = ip.read(packet)
        assert read == ip.Packet(source, target, protocol, 64, len(packet) - len(segment), len(packet))
        assert checksum.transport(source, target, protocol, segment) == 0
    assert tcp.read(tcp.segment((source, target), (1, 2), tcp.SYN, (3, 4))) == tcp.Segment(
        1, 2, 3, 4, tcp.SYN, 64240
    )
    assert udp.read(segment) == udp.Datagram(61000, 53, b"question")


def test_syn_options_fill_whole_words():
    segment = tcp.segment((ME, YOU), (1, 2), tcp.SYN, options=tcp.SYN_OPTIONS)
    assert segment[12] >> 4 == len(segment) // 4, "the header says that it ends where the segment does"


def test_arp_question_and_answer():
    mac, other = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
    frame = ethernet.arp_request(mac, ME, YOU)
    assert len(frame) == 42
    asked = ethernet.read_arp(frame[ethernet.SIZE :])
    assert (asked.sender, asked.sender_hardware, asked.target) == (ME, mac, YOU)
    assert not ethernet.is_reply(asked)
    reply = frame[ethernet.SIZE : ethernet.SIZE + 7] + b"\2" + other + YOU + mac + ME
    assert ethernet.is_reply(ethernet.read_arp(reply))


def test_neighbour_solicitation_is_for_the_target_s_group():
    packet, group = icmp.solicitation(b"\2\0\0\0\0\1", ME6, YOU6)
    read = ip.read(packet)
    assert group == bytes.fromhex("3333ff000002")
    assert read.hops == 255
    assert checksum.transport(read.source, read.target, ICMPV6, packet[read.start :]) == 0
    assert icmp.read_advertisement(packet) is None, "a question is no answer"


@pytest.mark.parametrize(
    ("protocol", "kind", "source", "target"),
    [(ICMP, 3, ME, YOU), (ICMPV6, 1, ME6, YOU6), (ICMP, 11, ME, YOU)],
)
def test_an_icmp_error_tells_the_probe_it_quotes(protocol, kind, source, target):
    segment = tcp.segment((source, target), (61000, 25), tcp.SYN, (0xCAFE, 0))
    quoted = ip.header(source, target, TCP, len(segment)) + segment[:8]
    error = bytes([kind, 1, 0, 0, 0, 0, 0, 0]) + quoted
    assert icmp.read_error(protocol, error) == icmp.Quoted(
        protocol, kind, 1, source, target, TCP, 61000, 25, 0xCAFE
    )
    assert icmp.read_error(protocol, error[:-1]) is None


def test_a_later_fragment_has_no_ports():
    packet = bytearray(ip.header(ME, YOU, TCP, 20) + bytes(20))
    packet[6:8] = b"\0\5"
    assert ip.read(bytes(packet)) is None


def test_extension_headers_are_stepped_over():
    options = bytes([TCP, 0]) + bytes(6)
    packet = ip.header(ME6, YOU6, 60, len(options) + 20) + options + bytes(20)
    assert ip.read(packet) == ip.Packet(ME6, YOU6, TCP, 64, 48, 68)


PACKETS = {
    "syn-ack": (tcp.SYN | tcp.ACK, 61001, True),
    "reset": (tcp.RST | tcp.ACK, 61001, True),
    "bare reset": (tcp.RST, 61001, True),
    "first port": (tcp.RST, 61000, True),
    "last port": (tcp.RST, 61002, True),
    "below": (tcp.RST, 60999, False),
    "above": (tcp.RST, 61003, False),
    "a syn": (tcp.SYN, 61001, False),
    "data": (tcp.ACK | tcp.PSH, 61001, False),
}


@pytest.mark.parametrize("case", PACKETS)
@pytest.mark.parametrize(("source", "target"), [(YOU, ME), (YOU6, ME6)])
def test_the_filter_keeps_answers(case, source, target):
    flags, port, kept = PACKETS[case]
    segment = tcp.segment((source, target), (443, port), flags)
    packet = ip.header(source, target, TCP, len(segment)) + segment
    assert interpret(cbpf.answers(61000, 61002, 99), packet) == (99 if kept else 0)


@pytest.mark.parametrize(("kind", "kept"), [(3, True), (11, True), (0, False), (8, False)])
def test_the_filter_keeps_icmp_errors(kind, kept):
    packet = ip.header(YOU, ME, ICMP, 36) + bytes([kind]) + bytes(35)
    assert interpret(cbpf.answers(61000, 61002, 99), packet) == (99 if kept else 0)


def test_the_filter_drops_what_is_no_ip():
    assert interpret(cbpf.answers(61000, 61002, 99), bytes(60)) == 0


@pytest.mark.parametrize("extension", [0, 43, 44, 51, 60])
def test_the_filter_drops_ipv6_with_extension_headers(extension):
    """No host puts one before an answer to our probes; what it hides would have to be looked for."""
    segment = bytes([TCP, 0]) + bytes(6) + tcp.segment((YOU6, ME6), (443, 61001), tcp.RST)
    packet = ip.header(YOU6, ME6, extension, len(segment)) + segment
    assert interpret(cbpf.answers(61000, 61002, 99), packet) == 0


def test_the_filter_steps_over_the_options_of_ipv4_and_drops_later_fragments():
    segment = tcp.segment((YOU, ME), (443, 61001), tcp.RST)
    plain = ip.header(YOU, ME, TCP, len(segment))
    longer = bytes([0x47]) + plain[1:] + bytes([7, 8, 4, 0, 0, 0, 0, 0]) + segment
    assert interpret(cbpf.answers(61000, 61002, 99), longer) == 99
    later = plain[:6] + b"\0\5" + plain[8:] + segment
    assert interpret(cbpf.answers(61000, 61002, 99), later) == 0


@pytest.mark.parametrize("tag", [b"\0\5\x08\0", b"\0\5\x86\xdd", b"\x40\5\x08\0", b"\x60\5\x86\xdd"])
def test_a_frame_s_inner_tag_is_not_taken_for_an_ip_header(tag):
    """Of two tags the kernel takes one off: byte 0 is the inner one's priority, which 4 and 6 may begin."""
    segment = tcp.segment((YOU, ME), (443, 61001), tcp.RST | tcp.ACK)
    packet = tag + ip.header(YOU, ME, TCP, len(segment)) + segment
    assert interpret(cbpf.answers(61000, 61002, 99), packet) == 0


def interpret(program, packet):
    """What the kernel would return (net/core/filter.c): loads past the end return 0."""
    steps = [cbpf._INSTRUCTION.unpack_from(program, at) for at in range(0, len(program), 8)]
    a = x = pc = 0
    while True:
        code, yes, no, k = steps[pc]
        pc += 1
        if code in (cbpf.LOAD_BYTE, cbpf.LOAD_HALF, cbpf.LOAD_BYTE_X, cbpf.LOAD_HALF_X):
            at = k + (x if code in (cbpf.LOAD_BYTE_X, cbpf.LOAD_HALF_X) else 0)
            size = 1 if code in (cbpf.LOAD_BYTE, cbpf.LOAD_BYTE_X) else 2
            if at + size > len(packet):
                return 0
            a = int.from_bytes(packet[at : at + size], "big")
        elif code == cbpf.LOAD_X_LENGTH:
            x = (packet[k] & 15) * 4
        elif code == cbpf.AND:
            a &= k
        elif code == cbpf.RETURN:
            return k
        else:
            held = {cbpf.EQUAL: a == k, cbpf.AT_LEAST: a >= k, cbpf.ABOVE: a > k, cbpf.ANY_BIT: a & k}[code]
            pc += yes if held else no
