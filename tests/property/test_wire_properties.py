"""Kernel replies: any bytes into a decoder, any text into a parser, give values or BadReply and nothing else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portside.errors import BadReply
from portside.wire import (
    counters,
    errqueue,
    inet_diag,
    interfaces,
    netlink,
    netlink_diag,
    packet_diag,
    procnet,
    routes,
    rtnetlink,
    sock_diag,
    tcp_states,
    unix_diag,
)
from portside.wire.layout import Layout

MANY = settings(max_examples=60, deadline=None)
TEXTS = {
    "tcp": lambda text: procnet.inet(text, "tcp"),
    "unix": procnet.unix,
    "unix entries": procnet.unix_entries,
    "packet": procnet.packet,
    "netlink": procnet.netlink,
    "protocols": procnet.protocols,
    "sockstat": lambda text: procnet.sockstat(text).items(),
    "snmp": lambda text: counters.pairs(text, "snmp").items(),
    "snmp groups": lambda text: counters.groups(text, "snmp").items(),
    "snmp6": lambda text: counters.single(text, "snmp6").items(),
}
DECODERS = {
    "inet_diag.rows": inet_diag.rows,
    "inet_diag.column": lambda data: inet_diag.column(data, inet_diag.INODE_WORD),
    "inet_diag.attributes": inet_diag.attributes,
    "netlink.messages": netlink.messages,
    "netlink.attributes": lambda data: netlink.attributes(data, 0, len(data)),
    "netlink.failure": lambda data: [netlink.failure(data, part) for part in netlink.messages(data)],
    "unix_diag.answers": unix_diag.answers,
    "packet_diag.answers": packet_diag.answers,
    "netlink_diag.answers": netlink_diag.answers,
    "rtnetlink.links": rtnetlink.links,
    "interfaces.interfaces": interfaces.interfaces,
    "interfaces.addresses": interfaces.addresses,
    "routes.routes": routes.routes,
    "errqueue.extended_error": lambda data: [errqueue.extended_error(data)],
}


def values_or_none(decode, data):
    """All values that a decoder yields; None for BadReply; anything else fails the test."""
    try:
        return list(decode(data))
    except BadReply:
        return None


attribute = st.builds(netlink.attribute, st.integers(0, 0xFFFF), st.binary(max_size=40))
tails = st.lists(attribute, max_size=5).map(b"".join)
TYPES = (
    netlink.NLMSG_ERROR,
    netlink.NLMSG_DONE,
    sock_diag.SOCK_DIAG_BY_FAMILY,
    inet_diag.TCPDIAG_GETSOCK,
    rtnetlink.RTM_NEWLINK,
    interfaces.RTM_NEWADDR,
    routes.RTM_NEWROUTE,
)
message = st.builds(
    netlink.message,
    st.sampled_from(TYPES) | st.integers(0, 0xFFFF),
    st.sampled_from((0, netlink.NLM_F_MULTI, netlink.NLM_F_ACK_TLVS, 0xFFFF)),
    st.builds(bytes.__add__, st.binary(max_size=80), tails),
    seq=st.integers(0, 3),
)
replies = st.lists(message, max_size=6).map(b"".join)


@st.composite
def damaged(draw):
    """A reply that was well formed before some of its bytes were changed or lost."""
    data = bytearray(draw(replies))
    for _ in range(draw(st.integers(0, 3)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@pytest.mark.parametrize("decode", DECODERS.values(), ids=list(DECODERS))
@given(data=st.binary(max_size=200) | damaged())
@MANY
def test_any_bytes_give_values_or_bad_reply(decode, data):
    values_or_none(decode, data)


@given(kind=st.integers(0, 40), payload=st.binary(max_size=40))
@MANY
def test_an_attribute_survives_every_table(kind, payload):
    tail = netlink.attribute(kind, payload)
    for table in (
        inet_diag.ATTRIBUTES,
        unix_diag.ATTRIBUTES,
        packet_diag.ATTRIBUTES,
        netlink_diag.ATTRIBUTES,
    ):
        told = sock_diag.decode(tail, 0, len(tail), table)
        assert len(told) == 1
        if kind not in table:
            assert told == {f"attribute-{kind}": payload}


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=30)), max_size=8))
@MANY
def test_attributes_are_read_back(pairs):
    data = b"".join(netlink.attribute(kind, payload) for kind, payload in pairs)
    assert list(netlink.attributes(data, 0, len(data))) == pairs


# What rows and column do in bulk, done message by message.

answer = st.builds(
    netlink.message,
    st.sampled_from((sock_diag.SOCK_DIAG_BY_FAMILY, inet_diag.TCPDIAG_GETSOCK)),
    st.just(netlink.NLM_F_MULTI),
    st.builds(bytes.__add__, st.binary(min_size=72, max_size=72), st.sampled_from((b"", b"abc")) | tails),
)
runs = st.lists(
    st.builds(lambda one, times: one * times, answer, st.sampled_from((1, 1, 2, 17, 40))), max_size=8
)
dumps = runs.map(b"".join)


def naive_rows(data: bytes):
    """The rows of a dump, one message after the other, field by field."""
    at = 0
    while at < len(data):
        length, kind, _, _, _ = struct.unpack_from("=IHHII", data, at)
        assert kind in (18, 20)
        body, end = at + 16, at + length
        sport, dport = struct.unpack_from("=HH", data, body + 4)
        interface, cookie = struct.unpack_from("=IQ", data, body + 40)
        counters = struct.unpack_from("=5I", data, body + 52)
        ends = data[body + 8 : body + 24], data[body + 24 : body + 40]
        yield (
            *data[body : body + 4],
            sport,
            dport,
            *ends,
            interface,
            cookie,
            *counters,
            data[body + 72 : end],
        )
        at += (length + 3) // 4 * 4


@given(dumps)
@MANY
def test_rows_in_bulk_are_the_rows_one_by_one(data):
    assert list(inet_diag.rows(data)) == list(naive_rows(data))


@given(dumps)
@MANY
def test_a_column_is_that_column_of_the_rows(data):
    rows = list(naive_rows(data))
    assert inet_diag.column(data, inet_diag.INODE_WORD) == [row[14] for row in rows]
    low, high = (inet_diag.column(data, word) for word in inet_diag.COOKIE_WORDS)
    assert [a | b << 32 for a, b in zip(low, high, strict=True)] == [row[9] for row in rows]


@given(dumps, st.data())
@MANY
def test_a_dump_cut_anywhere_gives_bad_reply_or_its_beginning(data, draw):
    rows = list(inet_diag.rows(data))
    cut = data[: draw.draw(st.integers(0, len(data)))]
    got = values_or_none(inet_diag.rows, cut)
    assert got is None or got == rows[: len(got)]
    assert values_or_none(DECODERS["inet_diag.column"], cut) == (
        None if got is None else [row[14] for row in got]
    )


@given(data=st.lists(message, min_size=1, max_size=4).map(b"".join), draw=st.data())
@MANY
def test_messages_cut_anywhere_give_bad_reply_or_their_beginning(data, draw):
    whole = list(netlink.messages(data))
    got = values_or_none(netlink.messages, data[: draw.draw(st.integers(0, len(data)))])
    assert got is None or got == whole[: len(got)]


@given(st.integers(0, 0xFFFF), st.integers(0, 14), st.integers(0, 0xFFFF), st.integers(0, 1 << 17))
@MANY
def test_a_request_holds_what_was_asked(sport, states, dport, protocol):
    data = inet_diag.request(10, protocol, states, sport=sport, dport=dport, bytecode=b"\0\4\4\0")
    (part,) = netlink.messages(data)
    family, number, _, _, mask, where = inet_diag.REQUEST.read(data, part.start)
    assert (family, mask, where[:4]) == (10, states, struct.pack(">HH", sport, dport))
    asked = dict(netlink.attributes(data, part.start + inet_diag.REQUEST.size, part.end))
    assert asked.pop(inet_diag.INET_DIAG_REQ_BYTECODE) == b"\0\4\4\0"
    told = asked.pop(inet_diag.INET_DIAG_REQ_PROTOCOL, struct.pack("=I", number))
    assert (struct.unpack("=I", told)[0], asked) == (protocol, {})


@pytest.mark.parametrize(
    "layout",
    [value for module in (netlink, inet_diag, unix_diag, packet_diag, netlink_diag, rtnetlink)
     for value in vars(module).values() if isinstance(value, Layout)],
    ids=lambda layout: layout.name,
)  # fmt: skip
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_struct_is_read_as_written(layout, data):
    raw = data.draw(st.binary(min_size=layout.size, max_size=layout.size))
    values = dict(zip(layout.fields, layout.read(raw), strict=True))
    written = layout.write(**values)
    assert layout.read(written) == layout.read(raw)
    assert layout.read(b"xx" + written + b"yy", 2) == tuple(values.values())
    with pytest.raises(BadReply, match=f"struct {layout.name}: it takes {layout.size} bytes"):
        layout.read(raw[:-1])
    for field in layout.fields:
        alone = layout.write(**{field: values[field]})
        assert alone[: layout.offset(field)] == bytes(layout.offset(field))


@pytest.mark.parametrize("parse", TEXTS.values(), ids=list(TEXTS))
@given(text=st.text(max_size=200) | st.text("0123456789ABCDEFabcdef:-+_ \n@/\x85\u0660", max_size=200))
@example("head\n0: 0100007F:1F90 00000000:0000 -1 0:0 -9:0 0 0 0 7\n")
@example("head\n0: 0100007F:1F90 00000000:0000 0A 0:0 0:" + "f" * 400 + " 0 0 0 7\n")
@example("head\n" + "9" * 5000)
@MANY
def test_any_text_gives_values_or_bad_reply(parse, text):
    values_or_none(parse, text)


NUMBERS = ["0", "7", "0A", "FFFFFFFF", "-1", "1" + "0" * 400, "1_0", "0x1", "+3", "\u0663", "", "x"]
LINE = "0: {}:{} {}:{} {} {}:{} {}:{} {} {} 0 {}"


@given(st.lists(st.sampled_from(NUMBERS[:4]) | st.sampled_from(NUMBERS), min_size=12, max_size=12))
@MANY
def test_a_row_of_text_fits_what_the_kernel_can_say(words):
    """Whatever stands in a file, a row's numbers fit the kernel's widths: what uses them need not look again."""
    words[0], words[2] = "0100007F", "00000000"
    for row in values_or_none(TEXTS["tcp"], "head\n" + LINE.format(*words)) or []:
        assert 0 <= row[1] < 256
        assert all(0 <= row[place] < 1 << 36 for place in (2, 3, 4, 5, 10, 11, 12, 13, 14))
        assert tcp_states.stream_state(row[1])
        assert tcp_states.datagram_state(row[1])


ADDRESS = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


@given(ADDRESS, st.integers(0, 65535), st.integers(0, 255), st.integers(0, (1 << 32) - 1))
@MANY
def test_text_and_sock_diag_tell_the_same_row(address, port, state, number):
    """One socket, written as /proc/net does and as sock_diag does, is one row."""
    words = "".join(f"{word:08X}" for word in struct.unpack(f"={len(address) // 4}I", address))
    end = f"{words}:{port:04X}"
    line = f"   0: {end} {end} {state:02X} 00000003:00000002 02:00000064 00000001  1000        0 {number} 1 0 0\n"
    (from_text,) = procnet.inet("head\n" + line, "tcp")
    raw, wire_port = address.ljust(16, b"\0"), struct.pack(">H", port)
    where = inet_diag.SOCKID.write(idiag_sport=wire_port, idiag_dport=wire_port, idiag_src=raw, idiag_dst=raw)
    body = inet_diag.MESSAGE.write(
        idiag_family=2 if len(address) == 4 else 10, idiag_state=state, idiag_timer=2, idiag_retrans=1, id=where,
        idiag_expires=1000, idiag_rqueue=2, idiag_wqueue=3, idiag_uid=1000, idiag_inode=number,
    )  # fmt: skip
    (from_kernel,) = inet_diag.rows(netlink.message(sock_diag.SOCK_DIAG_BY_FAMILY, 0, body))
    assert from_text == from_kernel
    assert inet_diag.ntohs(from_text[4]) == port


PATHS = st.binary(min_size=1, max_size=60).filter(lambda raw: not raw.startswith(b"@") and b"\0" not in raw)


@given(st.lists(PATHS, min_size=1, max_size=4))
@example([b" ", b"  a  ", b"a\nb", b"a\rb\n", b"a\n\n\nb", b"\n", b"\xff\x85", b"/a 7 b", b"7 "])
@MANY
def test_unix_paths_survive_the_text(paths):
    """Any path comes back, but for one that holds a newline and something like an entry: the text cannot tell."""
    lines = ["Num       RefCount Protocol Flags    Type St Inode Path"]
    for inode, path in enumerate(paths, 7):
        text = path.decode("utf-8", "surrogateescape")
        lines.append(f"0000000000000000: 00000002 00000000 00010000 0001 01 {inode:5} {text}")
    rows = list(procnet.unix("\n".join(lines) + "\n"))
    assert [(numbers[4], told["name"]) for numbers, told in rows] == list(enumerate(paths, 7))
