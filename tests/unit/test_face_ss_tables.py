"""The tables of the ss face: what is asked, what the filter sees, what a line holds, what the text tells instead."""

from __future__ import annotations

import struct
import sys

import pytest
from tests.ss_reading import RecordedReading, drawn, options

from portside.faces.ss import families, replay
from portside.faces.ss.context import Subject
from portside.wire import (
    inet_diag,
    netlink,
    netlink_diag,
    packet_diag,
    sock_diag,
    unix_diag,
    vsock_diag,
    xdp_diag,
)

STREAM, DGRAM, RAW, SEQPACKET = 1, 2, 3, 5
LISTEN, UNCONN = 10, 7


def native(*numbers):
    return struct.pack(f"={len(numbers)}I", *numbers)


def answer(layout, *attributes, **fields):
    tail = b"".join(netlink.attribute(kind, payload) for kind, payload in attributes)
    return netlink.message(sock_diag.SOCK_DIAG_BY_FAMILY, netlink.NLM_F_MULTI, layout.write(**fields) + tail)


def unix(kind=STREAM, state=LISTEN, inode=5, *attributes):
    return answer(
        unix_diag.MESSAGE, *attributes, udiag_family=1, udiag_type=kind, udiag_state=state, udiag_ino=inode
    )


def packet(protocol, inode=6, *attributes, kind=RAW):
    return answer(
        packet_diag.MESSAGE, (6, native(*range(9))), *attributes,
        pdiag_family=17, pdiag_type=kind, pdiag_num=protocol, pdiag_ino=inode, pdiag_cookie=0x2A,
    )  # fmt: skip


def route(portid=0, state=0, *attributes, protocol=0):
    return answer(
        netlink_diag.MESSAGE, *attributes, ndiag_family=16, ndiag_type=RAW, ndiag_protocol=protocol,
        ndiag_state=state, ndiag_portid=portid, ndiag_dst_portid=7, ndiag_dst_group=3, ndiag_ino=8,
    )  # fmt: skip


def lines(table, buffer, flags="", reading=None, **chosen):
    reading = reading or RecordedReading(buffer)
    return drawn(families.rows(table, options(flags, **chosen), reading))


@pytest.mark.parametrize("table", ["netlink", "packet", "unix", "vsock", "tipc", "xdp"])
def test_a_table_of_another_family_is_not_even_asked_for(table):
    reading = RecordedReading(b"")
    assert lines(table, b"", reading=reading, families=frozenset([2])) == []
    assert not reading.asked


@pytest.mark.parametrize("table", ["netlink", "packet", "xdp"])
def test_what_has_no_state_is_unconnected(table):
    reading = RecordedReading(b"")
    assert lines(table, b"", reading=reading, states=1 << LISTEN) == []
    assert not reading.asked


@pytest.mark.parametrize("table", ["unix", "vsock", "tipc", "xdp", "packet", "netlink"])
def test_a_family_that_the_kernel_lacks_is_empty_where_there_is_no_text(table):
    assert lines(table, None) == []


def test_unix_asks_for_what_is_shown():
    asked = {}
    for flags in ("", "m", "e"):
        reading = RecordedReading(b"")
        lines("unix", b"", flags, reading, states=1 << LISTEN)
        asked[flags] = unix_diag.REQUEST.read(reading.asked[0], netlink.HEADER.size)
    assert {show[5] for show in asked.values()} == {0x15, 0x35, 0x1F}
    assert asked[""][3] == 1 << LISTEN


def test_a_unix_socket_has_its_name_and_both_inodes():
    named = unix(STREAM, LISTEN, 5, (0, b"/run/x y\0"), (2, native(9)), (4, native(1, 128)))
    nameless = unix(DGRAM, UNCONN, 6)
    abstract = unix(SEQPACKET, 1, 7, (0, b"\0a\0b"))
    assert lines("unix", named + nameless + abstract) == [
        "u_str LISTEN 1     128   /run/x y 5 * 9",
        "u_dgr UNCONN 0     0     * 6 * 0",
        "u_seq ESTAB 0     0     @a@b 7 * 0",
    ]


def test_only_the_named_unix_types_are_shown_and_asked_holders_for():
    reading = RecordedReading(unix(STREAM, 1, 5) + unix(DGRAM, 7, 6), names={6: "x"})
    assert lines("unix", b"", reading=reading, tables=frozenset(["u_dgr"])) == [
        'u_dgr UNCONN 0     0     * 6 * 0 users:(("holder",pid=7,fd=6))'
    ]
    assert reading.wanted == [6]


def test_unix_details_in_ss_s_order():
    told = unix(
        STREAM,
        LISTEN,
        5,
        (0, b"/x\0"),
        (1, native(99, 254 << 20 | 3)),
        (3, native(7, 8)),
        (5, native(*range(9))),
        (6, b"\1"),
    )
    assert lines("unix", told, "em")[0].endswith(
        " skmem:(r0,rb1,t2,tb3,f4,w5,o6,bl7,d8) --> ino:99 dev:0/65027 peers: 7 8"
    )


def test_the_filter_sees_a_unix_name_as_it_is():
    reading = RecordedReading(unix(STREAM, 1, 5, (0, b"/\x1b[31m\0"), (2, native(9))))
    assert lines("unix", b"", reading=reading) == [r"u_str ESTAB 0     0     /\x1b[31m 5 * 9"]
    assert reading.asked[1] == Subject(1, "/\x1b[31m", None, 5, 9)
    reading.refused = {5}
    assert lines("unix", b"", reading=reading) == []


@pytest.mark.parametrize(
    ("protocol", "flags", "text"),
    [
        (3, "", "*"),
        (3, "n", "*"),
        (0x0800, "", "ip"),
        (0x0800, "n", "[2048]"),
        (0x1234, "", "[4660]"),
        (0x88CC, "", "LLDP"),
    ],
)
def test_an_ethertype_has_its_name_or_its_number(protocol, flags, text):
    assert lines("packet", packet(protocol), flags) == [f"p_raw UNCONN 0     0     {text}:* *"]


def test_packet_details_stand_on_lines_of_their_own():
    told = packet(
        3, 6, (0, native(1, 2, 0, 5, 0, 0x1F)), (2, native(*range(1, 8))), (4, native(7 | 9 << 16)),
        (5, native(1000)), (7, struct.pack("=HBBI", 6, 1, 2, 0xFFFFFFFF)), kind=DGRAM,
    )  # fmt: skip
    assert lines("packet", told, "ebm") == [
        "p_dgr UNCONN 0     0     *:lo * uid:1000 ino:6 sk:2a"
        "\n\tver:2 cpy_thresh:5 flags( running auxdata origdev vnethdr loss )"
        "\n\tring_rx(blk_size:1,blk_nr:2,frm_size:3,frm_nr:4,tmo:5,features:0x7)"
        "\n\tfanout(id:7,type:0x9)"
        "\n\tbpf filter (1):  0x06 1 2 4294967295, skmem:(r0,rb1,t2,tb3,f4,w5,o6,bl7,d8)"
    ]
    assert "\n" not in lines("packet", told, "ebO")[0]
    assert lines("packet", packet(3, 6, (0, native(0, 0, 0, 0, 0, 0))), "e")[0].endswith(" flags( 0 )")


def test_packet_sockets_without_memory_are_read_from_text():
    told = answer(packet_diag.MESSAGE, pdiag_family=17, pdiag_type=RAW)
    reading = RecordedReading(told, texts={"net/packet": "head\nffff 3 2 0800 1 1 5 0 44\n"})
    assert lines("packet", b"", "e", reading) == ["p_dgr UNCONN 5     0     ip:lo * ino:44 sk:0"]


def test_the_filter_sees_protocol_and_interface_of_a_packet_socket():
    reading = RecordedReading(packet(0x800, 6, (0, native(4, 0, 0, 0, 0, 0))))
    lines("packet", b"", reading=reading)
    assert reading.asked[1] == Subject(17, native(0x800), bytes(4), 4, 0, 4)


@pytest.mark.parametrize(
    ("portid", "flags", "text"),
    [
        (0, "", "rtnl:kernel"),
        (0, "n", "0:0"),
        (7, "", "rtnl:holder/7"),
        (7, "n", "0:7"),
        (8, "", "rtnl:8"),
        (0xFFFFFFFF, "", "rtnl:*"),
        (0xFFFFFFFB, "", "rtnl:-5"),
    ],
)
def test_a_port_id_has_the_name_of_its_process(portid, flags, text):
    reading = RecordedReading(route(portid), names={7: "holder"})
    assert lines("netlink", b"", flags, reading) == [f"nl UNCONN 0     0     {text} *"]


def test_netlink_details_and_memory():
    told = route(0, 1, (0, native(*range(9))), (1, native(0x11)))
    assert lines("netlink", told, "em") == [
        "nl UNCONN 0     2     rtnl:kernel 3:7 sk=0 cb=0 groups=0x00000011\t skmem:(r0,rb1,t2,tb3,f4,w5,o6,bl7,d8)"
    ]


def test_netlink_protocols_have_the_names_of_iproute2_s_file(tmp_path):
    (tmp_path / "etc/iproute2").mkdir(parents=True)
    (tmp_path / "etc/iproute2/nl_protos").write_text("# names\n0 mine\n0x16 hex # x\nbad\n300 far\n17\n")
    reading = RecordedReading(route() + route(protocol=22) + route(protocol=17))
    reading.host = reading.host.replace(root=str(tmp_path))
    assert [line.split()[4] for line in lines("netlink", b"", reading=reading)] == [
        "mine:kernel",
        "hex:kernel",
        "17:kernel",
    ]


def test_vsock_s_any_is_a_star():
    told = answer(
        vsock_diag.MESSAGE, vdiag_family=40, vdiag_type=STREAM, vdiag_state=LISTEN, vdiag_src_cid=vsock_diag.ANY,
        vdiag_src_port=22, vdiag_dst_cid=3, vdiag_dst_port=vsock_diag.ANY, vdiag_ino=5,
    )  # fmt: skip
    assert lines("vsock", told) == ["v_str LISTEN 0     0     *:22 3:*"]
    assert lines("vsock", told, tables=frozenset(["v_dgr"])) == []


def test_xdp_has_interface_and_queue():
    bound = answer(xdp_diag.MESSAGE, (1, native(1, 3)), xdiag_family=44, xdiag_ino=5, xdiag_cookie=1)
    fresh = answer(xdp_diag.MESSAGE, (3, native(64)), (5, bytes(40)), xdiag_family=44)
    assert lines("xdp", bound + fresh) == ["xdp UNCONN 0     0     lo:q3 *", "xdp UNCONN 0     0     * *"]
    assert lines("xdp", fresh, "e") == [
        "xdp UNCONN 0     0     * * ino:0 sk:0\n\trx(entries:64)"
        "\n\tumem(id:0,size:0,num_pages:0,chunk_size:0,headroom:0,ifindex:0,qid:0,zc:0,refs:0)"
    ]
    assert " tumem(" in lines("xdp", fresh, "eO")[0]


TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0  0 11 1 ff 100 0 0 10 0\n"
    "   1: 0100007F:C350 0100007F:1F90 01 00000005:00000000 02:0000012C 00000000  1000  4 12 1 fe 20 4 30 10 -1\n"
    "   2: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000\n"
)
little = pytest.mark.skipif(sys.byteorder == "big", reason="the text's addresses are little-endian")


def texts(table, flags, given, **chosen):
    reading = RecordedReading(texts=given, environ={"PROC_ROOT": "/x"})
    return drawn(replay.rows(table, options(flags, **chosen), reading)), reading


@little
def test_tcp_s_text_gives_timers_and_a_little_of_the_inside():
    told, reading = texts("tcp", "oi", {"net/tcp": TCP})
    assert told == [
        "tcp LISTEN 3     0     127.0.0.1:8080 0.0.0.0:* rto:1 cwnd:10 reordering:0",
        "tcp ESTAB 0     5     127.0.0.1:50000 127.0.0.1:8080 timer:(keepalive,3sec,4)"
        " rto:0.2 ato:0.04 qack:15 bidir cwnd:10 retrans:4/0 reordering:0",
        "tcp TIME-WAIT 0     0     127.0.0.1:50001 127.0.0.1:8080 timer:(timewait,1min,0) cwnd:2 reordering:0",
    ]
    assert reading.wanted == [11, 12, 0]
    assert reading.asked[0] == Subject(2, bytes([127, 0, 0, 1]), bytes(4), 8080, 0)


@little
def test_the_text_s_address_in_the_kernel_stands_for_the_cookie():
    told, _ = texts(
        "tcp", "e", {"net/tcp": TCP.replace(" 10 0\n", " 10 0 extra words\n")}, states=1 << LISTEN
    )
    assert told == ['tcp LISTEN 3     0     127.0.0.1:8080 0.0.0.0:* ino:11 sk:ff opt:"extra words"']


@little
def test_udp_s_text_tells_no_details():
    text = "head\n  1: 00000000:0035 00000000:0000 07 00000000:00000100 00:00000000 00000000 0 0 9 2 0 0\n"
    assert texts("udp", "oeim", {"net/udp": text})[0] == ["udp UNCONN 256   0     0.0.0.0:53 0.0.0.0:*"]


@little
def test_a_line_that_ends_nowhere_ends_the_reading():
    six = TCP.replace("0100007F", "0" * 24 + "01000000").replace("00000000:0000 0A", "0" * 32 + ":0000 0A")
    assert len(texts("tcp", "", {"net/tcp": TCP, "net/tcp6": six})[0]) == 6
    assert len(texts("tcp", "", {"net/tcp": TCP + "x", "net/tcp6": six})[0]) == 3
    assert len(texts("tcp", "", {"net/tcp": TCP + "x" * 255 + "\n", "net/tcp6": six})[0]) == 3
    assert len(texts("tcp", "", {"net/tcp": TCP + "garbage\n", "net/tcp6": six})[0]) == 6
    assert texts("tcp", "", {"net/tcp6": six})[0] == []


def test_unix_text_is_sorted_and_a_name_ends_at_a_blank():
    text = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 30 /run/a b\n"
        "0000000000000001: 00000002 00000000 00000000 0002 01 20\n"
        "0000000000000000: 00000002 00000000 00000000 0002 01 21 @\x1bx\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 10\n"
        "no line\n"
    )
    assert texts("unix", "em", {"net/unix": text})[0] == [
        "u_str ESTAB 0     0     * 10 * 0",
        "u_str LISTEN 0     0     /run/a 30 * 0",
        "u_dgr ESTAB 0     0     * 20 * 0",
        r"u_dgr UNCONN 0     0     @\x1bx 21 * 0",
    ]


def test_netlink_text():
    text = "head\nffff8880 0   4294963451 00000011 0 2 1 2 0 9\n"
    assert texts("netlink", "e", {"net/netlink": text})[0] == [
        "nl UNCONN 0     2     rtnl:-3845 * sk=ffff8880 cb=1 groups=0x00000011"
    ]


@pytest.mark.parametrize("table", ["mptcp", "dccp", "sctp"])
def test_what_has_no_text_is_empty_under_proc_root(table):
    assert texts(table, "", {})[0] == []


@pytest.mark.parametrize(
    "table", ["tcp", "udp", "raw", "unix", "packet", "netlink", "mptcp", "vsock", "tipc", "xdp"]
)
def test_without_a_knob_the_kernel_is_asked(table):
    environ = {"PROC_NET_TCP6": "/x", "TCPDIAG_FILE": "/y"}
    assert replay.rows(table, options(), RecordedReading(environ=environ)) is None
    knobs = {f"PROC_NET_{table.upper()}": "/x"}
    known = table not in ("vsock", "tipc", "xdp")
    assert (replay.rows(table, options(), RecordedReading(environ=knobs)) is not None) == known


def answers(count, kind=sock_diag.SOCK_DIAG_BY_FAMILY):
    return b"".join(
        netlink.message(kind, 0, inet_diag.MESSAGE.write(idiag_inode=one)) for one in range(count)
    )


@pytest.mark.parametrize(
    ("data", "count", "said"),
    [
        (answers(2) + netlink.message(netlink.NLMSG_DONE, 0, b"") + answers(3), 2, ""),
        (answers(2, 18) + netlink.message(netlink.NLMSG_DONE, 0, bytes(4)), 2, ""),
        (answers(1, 99) + netlink.message(netlink.NLMSG_DONE, 0, bytes(4)), 1, ""),
        (answers(2), 2, "Unexpected EOF reading $TCPDIAG_FILE"),
        (answers(2)[:-1], 1, "Unexpected EOF reading $TCPDIAG_FILE"),
        (b"\1", 0, "Unexpected EOF reading $TCPDIAG_FILE"),
        (answers(1) + netlink.HEADER.write(len=3), 1, "Unexpected EOF reading $TCPDIAG_FILE"),
        (answers(1) + netlink.message(netlink.NLMSG_ERROR, 0, native(2**32 - 1) + bytes(16)), 1,
         "TCPDIAG answered: Operation not permitted\n"),
        (answers(1) + netlink.message(netlink.NLMSG_ERROR, 0, native(2**32 - 1)), 1, "ERROR truncated\n"),
        (netlink.message(20, 0, b"short"), 0, "ss: an answer of 21 bytes in $TCPDIAG_FILE\n"),
    ],
)  # fmt: skip
def test_a_recording_is_read_to_its_first_end_mark(data, count, said, tmp_path, capsys):
    (tmp_path / "file").write_bytes(data)
    recorded = replay.recorded(str(tmp_path / "file"))
    assert [row[14] for row in inet_diag.rows(recorded)] == list(range(count))
    assert capsys.readouterr().err == said


def test_a_recording_that_is_not_there_is_told(tmp_path, capsys):
    assert replay.recorded(str(tmp_path / "none")) == b""
    assert capsys.readouterr().err == "fopen($TCPDIAG_FILE): No such file or directory\n"


@pytest.mark.parametrize(("preferred", "families"), [(0, [2, 10]), (2, [2]), (10, [10]), (1, [2, 10])])
def test_a_recording_has_the_answers_of_each_family_and_their_ends(preferred, families):
    reading = RecordedReading(answers(2))
    written = replay.recording(options("im", preferred=preferred, states=1 << LISTEN), reading)
    kinds = [part.type for part in netlink.messages(written)]
    assert kinds == [20, 20, netlink.NLMSG_DONE] * len(families)
    asked = [inet_diag.REQUEST.read(request, netlink.HEADER.size) for request in reading.asked]
    assert [one[0] for one in asked] == families
    assert {one[2:5] for one in asked} == {(0x4F, 0, 1 << LISTEN)}
