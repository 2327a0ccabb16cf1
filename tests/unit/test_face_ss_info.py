"""What -i adds in the ss face: which pieces, in which order, in which numbers: as ss of iproute2 6.1 does."""

from __future__ import annotations

import struct

import pytest
from tests.ss_reading import options

from portside.faces.ss import info
from portside.wire import inet_diag, netlink, sctp_info, sock_diag, tcp_info, tcp_states, ulp_info

BLANK = next(inet_diag.rows(netlink.message(sock_diag.SOCK_DIAG_BY_FAMILY, 0, bytes(72))))
NEVER_MEASURED = {
    "tcpi_rto": 3_000_000,
    "tcpi_reordering": 3,
    "tcpi_min_rtt": 0xFFFFFFFF,
    "tcpi_snd_ssthresh": 0x7FFFFFFF,
}


def text(flags="", state=tcp_states.ESTABLISHED, protocol=inet_diag.IPPROTO_TCP, told=None, **fields):
    """The text of a connection of which nothing is known but `fields` of tcp_info, and what else is `told`."""
    fields = {f"tcpi_{name}": value for name, value in fields.items()}
    attributes = {"info": tcp_info.TCP_INFO.write(**NEVER_MEASURED | fields)} | (told or {})
    return info.text(attributes, (BLANK[0], state, *BLANK[2:]), options(flags), protocol)


def nest(*pairs):
    return b"".join(netlink.attribute(kind, payload) for kind, payload in pairs)


def test_what_is_zero_or_usual_is_left_out():
    assert text() == ""
    assert text(reordering=0) == " reordering:0"


def test_the_order_is_ss_s():
    assert text(
        "o", options=0x3F, snd_wscale=0x97, rto=204_000, backoff=2, rtt=1500, rttvar=750, ato=40_000, snd_mss=1448,
        pmtu=1500, rcv_mss=536, advmss=1448, snd_cwnd=10, snd_ssthresh=7, bytes_sent=1, bytes_retrans=2,
        bytes_acked=3, bytes_received=4, segs_out=5, segs_in=6, data_segs_out=7, data_segs_in=8,
        last_data_sent=9, last_data_recv=10, last_ack_recv=11, pacing_rate=1_000_000, max_pacing_rate=2_000_000,
        delivery_rate=125, delivered=12, delivered_ce=13, delivery_rate_app_limited=1, busy_time=8000,
        rwnd_limited=4000, sndbuf_limited=1000, unacked=14, retrans=0, total_retrans=15, lost=16, sacked=17,
        dsack_dups=18, fackets=19, reordering=20, reord_seen=21, rcv_rtt=2500, rcv_space=22, rcv_ssthresh=23,
        notsent_bytes=24, min_rtt=999, rcv_ooopack=25, snd_wnd=26, told={"cong": "cubic"},
    ) == (
        " ts sack ecn ecnseen fastopen cubic wscale:7,9 rto:204 backoff:2 rtt:1.5/0.75 ato:40 mss:1448 pmtu:1500"
        " rcvmss:536 advmss:1448 cwnd:10 ssthresh:7 bytes_sent:1 bytes_retrans:2 bytes_acked:3 bytes_received:4"
        " segs_out:5 segs_in:6 data_segs_out:7 data_segs_in:8 send 77.2Mbps lastsnd:9 lastrcv:10 lastack:11"
        " pacing_rate 8Mbps/16Mbps delivery_rate 1kbps delivered:12 delivered_ce:13 app_limited busy:8ms"
        " rwnd_limited:4ms(50.0%) sndbuf_limited:1ms(12.5%) unacked:14 retrans:0/15 lost:16 sacked:17 dsack_dups:18"
        " fackets:19 reordering:20 reord_seen:21 rcv_rtt:2.5 rcv_space:22 rcv_ssthresh:23 notsent:24 minrtt:0.999"
        " rcv_ooopack:25 snd_wnd:26"
    )  # fmt: skip


def test_the_options_of_the_handshake_need_o():
    assert text(options=0x07, snd_wscale=0xA0) == " wscale:0,10"
    assert text("o", options=0x07, snd_wscale=0xA0) == " ts sack wscale:0,10"


def test_a_listener_s_limit_is_no_sack():
    assert text(state=tcp_states.LISTEN, unacked=1, sacked=128) == " unacked:1"


def test_the_congestion_control_s_name_is_cut_and_escaped():
    assert text(told={"cong": "\x1b[31m"}) == r" \x1b[31m"
    assert text(told={"cong": "a" * 20}) == " " + "a" * 15


@pytest.mark.parametrize(
    ("bits", "plain", "numeric"),
    [
        (999.0, "999", "999"),
        (1000.0, "1k", "1000"),
        (1234567.0, "1.23M", "1234567"),
        (9.9999e9, "10G", "9999900000"),
        (2.5e12, "2.5T", "2500000000000"),
        (1e16, "1e+04T", "10000000000000000"),
    ],
)
def test_rates_have_three_digits_or_all(bits, plain, numeric):
    assert (info.rate(bits, False), info.rate(bits, True)) == (plain, numeric)


def test_no_rate_is_told_where_there_is_no_limit():
    unlimited = (1 << 64) - 1
    assert text(pacing_rate=unlimited) == ""
    assert text(pacing_rate=1000, max_pacing_rate=unlimited) == " pacing_rate 8kbps"


def test_vegas_round_trip_gives_the_rate():
    vegas = struct.pack("=4I", 1, 1, 1000, 1)
    never = struct.pack("=4I", 1, 1, 0x7FFFFFFF, 1)
    sending = {"snd_cwnd": 10, "snd_mss": 1000, "rtt": 2000}
    assert "send 80Mbps" in text(told={"vegasinfo": vegas}, **sending)
    assert "send 40Mbps" in text(told={"vegasinfo": never}, **sending)
    assert "send 40Mbps" in text(told={"vegasinfo": b""}, **sending)


def test_dctcp_and_bbr_tell_of_themselves():
    dctcp = tcp_info.DCTCP_INFO.write(
        dctcp_enabled=1, dctcp_ce_state=1, dctcp_alpha=2, dctcp_ab_ecn=3, dctcp_ab_tot=4
    )
    assert text(told={"dctcpinfo": dctcp}) == " dctcp:(ce_state:1,alpha:2,ab_ecn:3,ab_tot:4)"
    assert text(told={"dctcpinfo": bytes(16)}) == " dctcp:fallback_mode"
    bbr = tcp_info.BBR_INFO.write(bbr_bw_hi=1, bbr_min_rtt=1500, bbr_pacing_gain=739, bbr_cwnd_gain=512)
    assert text(told={"bbrinfo": bbr}) == " bbr:(bw:34.4Gbps,mrtt:1.5,pacing_gain:2.88672,cwnd_gain:2)"
    assert text("n", told={"bbrinfo": bbr[:12]}) == " bbr:(bw:34359738368bps,mrtt:1.5)"


def test_memory_comes_first_and_the_older_form_where_that_is_all():
    words = struct.pack("=9I", *range(9))
    assert text(told={"skmeminfo": words, "meminfo": bytes(16)}, segs_in=1).startswith(" skmem:(r0,rb1")
    assert text(told={"meminfo": struct.pack("=4I", 1, 2, 3, 4)}) == " mem:(r1,w2,f3,t4)"


def test_md5_keys_stand_in_their_place_and_are_escaped():
    v4 = tcp_info.MD5SIG.write(
        tcpm_family=2, tcpm_prefixlen=8, tcpm_keylen=5, tcpm_addr=bytes([10]), tcpm_key=b"a, \\\x1b"
    )
    v6 = tcp_info.MD5SIG.write(
        tcpm_family=10, tcpm_prefixlen=128, tcpm_keylen=200, tcpm_addr=bytes(15) + b"\1"
    )
    keys = text(told={"md5sig": v4 + v6})
    assert keys == r" md5keys:10.0.0.0/8=a\054\040\134\033,::1/128=" + r"\000" * 80


TLS = (
    (
        nest((1, b"\x03\x03"), (2, b"\x33\0"), (3, b"\x02\0"), (4, b"\x01\0")),
        " version: 1.2 cipher: aes-gcm-128 rxconf: none txconf: sw",
    ),
    (
        nest((1, b"\x04\x03"), (2, b"\x36\0"), (3, b"\x03\0"), (4, b"\x04\0"), (5, b"")),
        " version: 1.3 rxconf: hw-record txconf: hw zc_ro_tx",
    ),
    (nest((1, b"\x09\0"), (4, b"\x09\0")), " version: unknown(9) rxconf: unknown(9)"),
    (b"", ""),
)


@pytest.mark.parametrize(("inside", "told"), TLS)
def test_kernel_tls(inside, told):
    assert text(told={"ulp_info": nest((1, b"tls\0"), (2, inside))}) == " tcp-ulp-tls" + told


def test_a_subflow_of_mptcp():
    numbers = {
        1: (0xABC, 4),
        2: (0xABCDE, 4),
        4: (0xFEED, 8),
        5: (0x10, 4),
        6: (1, 4),
        7: (0xFF, 4),
        8: (0x1FF, 4),
        9: (3, 1),
        10: (4, 1),
    }
    inside = nest(*((kind, value.to_bytes(size, "little")) for kind, (value, size) in numbers.items()))
    assert text(told={"ulp_info": nest((1, b"mptcp\0"), (3, inside))}) == (
        " tcp-ulp-mptcp flags:MmJjBbecv token:0abc(id:3)/abcde(id:4) seq:feed sfseq:10 ssnoff:1 maplen:ff"
    )
    assert text(told={"ulp_info": nest((3, nest((8, bytes(4)), (1, bytes(4)))))}) == ""


def test_what_is_malformed_above_tcp_is_left_out():
    assert text(told={"ulp_info": b"\xff\xff\x01\0"}, segs_in=1) == " segs_in:1"


def test_an_mptcp_connection():
    whole = ulp_info.MPTCP_INFO.write(
        mptcpi_subflows=1,
        mptcpi_subflows_max=2,
        mptcpi_flags=3,
        mptcpi_token=0xBEEF,
        mptcpi_write_seq=1,
        mptcpi_rcv_nxt=0xAB,
    )
    told = {"info": whole + bytes(56)}
    assert info.text(told, BLANK, options(), inet_diag.IPPROTO_MPTCP) == (
        " subflows:1 subflows_max:2 fallback remote_key token:beef write_seq:1 rcv_nxt:ab"
    )


def test_an_sctp_association():
    address = struct.pack("=H2s4s", 2, b"\0\5", bytes([10, 0, 0, 1])).ljust(128, b"\0")
    foreign = struct.pack("=H", 99).ljust(128, b"\0")
    whole = sctp_info.SCTP_INFO.write(
        sctpi_tag=0xAB, sctpi_state=3, sctpi_rwnd=5, sctpi_peer_tag=0xCD, sctpi_s_nodelay=1
    )
    told = {"locals": address + foreign, "peers": address, "info": whole}
    assert info.text(told, BLANK, options(), inet_diag.IPPROTO_SCTP) == (
        " locals:10.0.0.1, peers:10.0.0.1 tag:ab state:ESTAB rwnd:5 ptag:cd nodelay:1"
    )


def test_of_a_line_of_proc_little_is_known():
    assert info.of_proc((20, 4, 30, 10, -1), 0) == " rto:0.2 ato:0.04 qack:15 bidir cwnd:10 reordering:0"
    assert info.of_proc((300, 0, 0, 2, 7), 3) == " cwnd:2 ssthresh:7 retrans:3/0 reordering:0"
