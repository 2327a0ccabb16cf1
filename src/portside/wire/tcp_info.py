"""The inside of a TCP connection as sock_diag tells it: tcp_info, congestion control, MD5 keys, socket memory.

Rule: a struct is read at any length.  The kernel appends fields as it grows, so an older one sends less and a newer
one more: `read` gives zero for what did not come and drops what has no name here.
Reference: include/uapi/linux/tcp.h, inet_diag.h, sock_diag.h.
"""

from __future__ import annotations

from portside.wire.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# struct tcp_info; two bytes of bit fields keep the name of their first: `wscales` and `app_limited` take them apart
TCP_INFO = Layout(
    "tcp_info", "B tcpi_state", "B tcpi_ca_state", "B tcpi_retransmits", "B tcpi_probes", "B tcpi_backoff",
    "B tcpi_options", "B tcpi_snd_wscale", "B tcpi_delivery_rate_app_limited", "I tcpi_rto", "I tcpi_ato",
    "I tcpi_snd_mss", "I tcpi_rcv_mss", "I tcpi_unacked", "I tcpi_sacked", "I tcpi_lost", "I tcpi_retrans",
    "I tcpi_fackets", "I tcpi_last_data_sent", "I tcpi_last_ack_sent", "I tcpi_last_data_recv",
    "I tcpi_last_ack_recv", "I tcpi_pmtu", "I tcpi_rcv_ssthresh", "I tcpi_rtt", "I tcpi_rttvar",
    "I tcpi_snd_ssthresh", "I tcpi_snd_cwnd", "I tcpi_advmss", "I tcpi_reordering", "I tcpi_rcv_rtt",
    "I tcpi_rcv_space", "I tcpi_total_retrans",
    "Q tcpi_pacing_rate", "Q tcpi_max_pacing_rate",  # 3.15
    "Q tcpi_bytes_acked", "Q tcpi_bytes_received",  # 4.1
    "I tcpi_segs_out", "I tcpi_segs_in",  # 4.2
    "I tcpi_notsent_bytes", "I tcpi_min_rtt", "I tcpi_data_segs_in", "I tcpi_data_segs_out",  # 4.6
    "Q tcpi_delivery_rate",  # 4.9
    "Q tcpi_busy_time", "Q tcpi_rwnd_limited", "Q tcpi_sndbuf_limited",  # 4.10
    "I tcpi_delivered", "I tcpi_delivered_ce",  # 4.18
    "Q tcpi_bytes_sent", "Q tcpi_bytes_retrans", "I tcpi_dsack_dups", "I tcpi_reord_seen",  # 4.19
    "I tcpi_rcv_ooopack", "I tcpi_snd_wnd",  # 5.4
    "I tcpi_rcv_wnd", "I tcpi_rehash",  # 6.2
    "H tcpi_total_rto", "H tcpi_total_rto_recoveries", "I tcpi_total_rto_time",  # 6.7
)  # fmt: skip
VEGAS_INFO = Layout("tcpvegas_info", "I tcpv_enabled", "I tcpv_rttcnt", "I tcpv_rtt", "I tcpv_minrtt")
DCTCP_INFO = Layout(
    "tcp_dctcp_info",
    "H dctcp_enabled",
    "H dctcp_ce_state",
    "I dctcp_alpha",
    "I dctcp_ab_ecn",
    "I dctcp_ab_tot",
)
BBR_INFO = Layout(
    "tcp_bbr_info", "I bbr_bw_lo", "I bbr_bw_hi", "I bbr_min_rtt", "I bbr_pacing_gain", "I bbr_cwnd_gain"
)
MD5SIG = Layout(
    "tcp_diag_md5sig", "B tcpm_family", "B tcpm_prefixlen", "H tcpm_keylen", "16s tcpm_addr", "80s tcpm_key"
)
MEMINFO = Layout("inet_diag_meminfo", "I idiag_rmem", "I idiag_wmem", "I idiag_fmem", "I idiag_tmem")

# tcpi_options
TCPI_OPT_TIMESTAMPS = 1
TCPI_OPT_SACK = 2
TCPI_OPT_WSCALE = 4
TCPI_OPT_ECN = 8
TCPI_OPT_ECN_SEEN = 16
TCPI_OPT_SYN_DATA = 32

# words of the array of u32 that INET_DIAG_SKMEMINFO and its kin in other families are
SK_MEMINFO_RMEM_ALLOC = 0
SK_MEMINFO_RCVBUF = 1
SK_MEMINFO_WMEM_ALLOC = 2
SK_MEMINFO_SNDBUF = 3
SK_MEMINFO_FWD_ALLOC = 4
SK_MEMINFO_WMEM_QUEUED = 5
SK_MEMINFO_OPTMEM = 6
SK_MEMINFO_BACKLOG = 7
SK_MEMINFO_DROPS = 8  # 4.7


def read(layout: Layout, payload: bytes) -> dict[str, int]:
    """Return field -> value of a struct of numbers, sent by a kernel that knows fewer or more fields."""
    whole = payload[: layout.size].ljust(layout.size, b"\0")
    return dict(zip(layout.fields, layout.struct.unpack(whole), strict=True))


def wscales(byte: int) -> tuple[int, int]:
    """Take `tcpi_snd_wscale` apart: the peer's window shift and ours (C's bit fields fill from the low end)."""
    return byte & 0xF, byte >> 4


def app_limited(byte: int) -> bool:
    """Take the flag out of `tcpi_delivery_rate_app_limited`."""
    return bool(byte & 1)


def md5_keys(payload: bytes) -> Iterator[tuple[int, bytes, int, bytes]]:
    """Yield (family, address as 16 bytes, prefix length, key) of each struct tcp_diag_md5sig; a rest is dropped."""
    whole = len(payload) // MD5SIG.size * MD5SIG.size
    for family, prefix, length, address, key in MD5SIG.struct.iter_unpack(payload[:whole]):
        yield family, address, prefix, key[:length]
