"""What -i and -m add to an IP socket, as iproute2 6.1 writes it: `skmem:(...) ts sack cubic wscale:7,7 rto:204 ...`.

Every piece has a blank before it and is left out when its number is zero, but for few.  Numbers are C's: `%g` for
milliseconds, three digits with T, G, M or k for rates (`%.0f` with -n).  An attribute that is malformed is left out,
a struct of another length read as far as it goes (`wire.tcp_info.read`).  Pieces of SCTP are in `sctp`.
Reference: misc/ss.c.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.faces import printable
from portside.faces.ss import memory
from portside.wire import inet_diag, tcp_info, tcp_states
from portside.wire.tcp_info import TCP_INFO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from portside.faces.ss.context import Options
    from portside.wire.inet_diag import Row

    Told = Mapping[str, object]

_OPTION_WORDS = (
    (tcp_info.TCPI_OPT_TIMESTAMPS, " ts"),
    (tcp_info.TCPI_OPT_SACK, " sack"),
    (tcp_info.TCPI_OPT_ECN, " ecn"),
    (tcp_info.TCPI_OPT_ECN_SEEN, " ecnseen"),
    (tcp_info.TCPI_OPT_SYN_DATA, " fastopen"),
)
_SIZES = (
    ("mss", "tcpi_snd_mss"), ("pmtu", "tcpi_pmtu"), ("rcvmss", "tcpi_rcv_mss"), ("advmss", "tcpi_advmss"),
    ("cwnd", "tcpi_snd_cwnd"), ("ssthresh", "tcpi_snd_ssthresh"), ("bytes_sent", "tcpi_bytes_sent"),
    ("bytes_retrans", "tcpi_bytes_retrans"), ("bytes_acked", "tcpi_bytes_acked"),
    ("bytes_received", "tcpi_bytes_received"), ("segs_out", "tcpi_segs_out"), ("segs_in", "tcpi_segs_in"),
    ("data_segs_out", "tcpi_data_segs_out"), ("data_segs_in", "tcpi_data_segs_in"),
)  # fmt: skip
_LAST = (
    ("lastsnd", "tcpi_last_data_sent"), ("lastrcv", "tcpi_last_data_recv"), ("lastack", "tcpi_last_ack_recv")
)  # fmt: skip
_DELIVERED = (("delivered", "tcpi_delivered"), ("delivered_ce", "tcpi_delivered_ce"))
_LOST = (
    ("lost", "tcpi_lost"), ("sacked", "tcpi_sacked"), ("dsack_dups", "tcpi_dsack_dups"),
    ("fackets", "tcpi_fackets"),
)  # fmt: skip
_RECEIVING = (
    ("rcv_space", "tcpi_rcv_space"), ("rcv_ssthresh", "tcpi_rcv_ssthresh"), ("notsent", "tcpi_notsent_bytes"),
)  # fmt: skip
_WINDOW = (("rcv_ooopack", "tcpi_rcv_ooopack"), ("snd_wnd", "tcpi_snd_wnd"))

_USUAL_RTO = 3_000_000  # us, of a connection that was never measured
_NO_SSTHRESH = 0xFFFF  # and above: slow start has no end yet
_USUAL_REORDERING = 3
_UNLIMITED = (1 << 64) - 1
_NEVER = (1 << 32) - 1
_NO_VEGAS_RTT = 0x7FFFFFFF


def extensions(options: Options) -> int:
    """Return the idiag_ext bits for what -m, -i and --tos show."""
    wanted = []
    if options.memory:
        wanted += [inet_diag.INET_DIAG_MEMINFO, inet_diag.INET_DIAG_SKMEMINFO]
    if options.info:
        wanted += [inet_diag.INET_DIAG_INFO, inet_diag.INET_DIAG_VEGASINFO, inet_diag.INET_DIAG_CONG]
    if options.tos:
        wanted += [inet_diag.INET_DIAG_TOS, inet_diag.INET_DIAG_TCLASS]
    return inet_diag.extension(*wanted)


def text(told: Told, row: Row, options: Options, protocol: int) -> str:
    """Return what -i and -m add to the socket of `row`, behind the line break and tab.

    `told` is what `wire.inet_diag.attributes` made of the row's tail, `protocol` the number of the IP protocol.
    """
    mem = _memory(told)
    if protocol == inet_diag.IPPROTO_SCTP:
        from portside.faces.ss import sctp

        return mem + sctp.text(told)
    payload = _bytes(told, "info")
    if protocol == inet_diag.IPPROTO_MPTCP:
        from portside.faces.ss import ulp

        return mem + (ulp.mptcp(payload) if payload is not None else "")
    keys, above = _bytes(told, "md5sig"), _bytes(told, "ulp_info")
    return "".join(
        (
            mem,
            _tcp(told, payload, row[1], options) if payload is not None else "",
            _md5_keys(keys) if keys else "",
            _ulp(above) if above is not None else "",
        )
    )


def _memory(told: Told) -> str:
    words = _bytes(told, "skmeminfo")
    if words is not None:
        return memory.text(words)
    older = _bytes(told, "meminfo")
    if older is None:
        return ""
    values = tcp_info.read(tcp_info.MEMINFO, older)
    return " mem:(r{idiag_rmem},w{idiag_wmem},f{idiag_fmem},t{idiag_tmem})".format(**values)


def _tcp(told: Told, payload: bytes, state: int, options: Options) -> str:
    info = tcp_info.read(TCP_INFO, payload)
    if info["tcpi_snd_ssthresh"] >= _NO_SSTHRESH:
        info["tcpi_snd_ssthresh"] = 0
    if state == tcp_states.LISTEN:
        info["tcpi_sacked"] = 0  # a listener's limit stands there
    return "".join(
        (
            _handshake(told, info, options),
            _times(info),
            _plain(info, _SIZES),
            _congestion(told, options.numeric),
            _rates(told, info, options.numeric),
            _limits(info),
            _losses(info),
            _milliseconds("rcv_rtt", info["tcpi_rcv_rtt"]),
            _plain(info, _RECEIVING),
            _milliseconds("minrtt", info["tcpi_min_rtt"] if info["tcpi_min_rtt"] != _NEVER else 0),
            _plain(info, _WINDOW),
        )
    )


def _plain(info: dict[str, int], words: tuple[tuple[str, str], ...]) -> str:
    return "".join([f" {word}:{info[field]}" for word, field in words if info[field]])


def _milliseconds(word: str, microseconds: int) -> str:
    return f" {word}:{microseconds / 1000:g}" if microseconds else ""


def _handshake(told: Told, info: dict[str, int], options: Options) -> str:
    """Return what the two ends agreed on; ss names the TCP options with -o alone."""
    bits = info["tcpi_options"]
    words = "".join([word for bit, word in _OPTION_WORDS if bits & bit]) if options.timers else ""
    cong = told.get("cong")
    if cong:
        words += f" {printable(str(cong)[:15])}"
    if bits & tcp_info.TCPI_OPT_WSCALE:
        words += " wscale:{},{}".format(*tcp_info.wscales(info["tcpi_snd_wscale"]))
    return words


def _times(info: dict[str, int]) -> str:
    rto, backoff, rtt = info["tcpi_rto"], info["tcpi_backoff"], info["tcpi_rtt"]
    return (
        _milliseconds("rto", rto if rto != _USUAL_RTO else 0)
        + (f" backoff:{backoff}" if backoff else "")
        + (f" rtt:{rtt / 1000:g}/{info['tcpi_rttvar'] / 1000:g}" if rtt else "")
        + _milliseconds("ato", info["tcpi_ato"])
    )


def _congestion(told: Told, numeric: bool) -> str:
    """Return what DCTCP or BBR tell of themselves."""
    written = ""
    payload = _bytes(told, "dctcpinfo")
    if payload is not None:
        dctcp = tcp_info.read(tcp_info.DCTCP_INFO, payload)
        if not dctcp["dctcp_enabled"]:
            written = " dctcp:fallback_mode"
        else:
            written = (
                " dctcp:(ce_state:{dctcp_ce_state},alpha:{dctcp_alpha},ab_ecn:{dctcp_ab_ecn},"
                "ab_tot:{dctcp_ab_tot})"
            ).format(**dctcp)
    payload = _bytes(told, "bbrinfo")
    if payload is not None:
        bbr = tcp_info.read(tcp_info.BBR_INFO, payload)
        bandwidth = bbr["bbr_bw_hi"] << 32 | bbr["bbr_bw_lo"]
        gains = "".join(
            [f",{word}:{bbr[f'bbr_{word}'] / 256:g}" for word in _GAINS if bbr[f"bbr_{word}"]]
        )  # in 1/256
        written += f" bbr:(bw:{rate(bandwidth * 8.0, numeric)}bps,mrtt:{bbr['bbr_min_rtt'] / 1000:g}{gains})"
    return written


_GAINS = ("pacing_gain", "cwnd_gain")


def _rates(told: Told, info: dict[str, int], numeric: bool) -> str:
    sending = _send_rate(info, _vegas_rtt(told) or info["tcpi_rtt"])
    pacing, most, delivery = (
        info["tcpi_pacing_rate"], info["tcpi_max_pacing_rate"], info["tcpi_delivery_rate"]
    )  # fmt: skip
    written = f" send {rate(sending, numeric)}bps" if sending else ""
    written += _plain(info, _LAST)
    if pacing and pacing != _UNLIMITED:
        written += f" pacing_rate {rate(pacing * 8.0, numeric)}bps"
        if most and most != _UNLIMITED:
            written += f"/{rate(most * 8.0, numeric)}bps"
    if delivery:
        written += f" delivery_rate {rate(delivery * 8.0, numeric)}bps"
    return written


def _send_rate(info: dict[str, int], rtt: int) -> float:
    """Return the rate that window and round trip allow, in bits per second."""
    return info["tcpi_snd_cwnd"] * float(info["tcpi_snd_mss"]) * 8000000.0 / rtt if rtt else 0.0


def _vegas_rtt(told: Told) -> int:
    """Return the round trip that Vegas measured, in us; 0 where it did not."""
    payload = _bytes(told, "vegasinfo")
    if payload is None:
        return 0
    vegas = tcp_info.read(tcp_info.VEGAS_INFO, payload)
    return vegas["tcpv_rtt"] if vegas["tcpv_enabled"] and vegas["tcpv_rtt"] != _NO_VEGAS_RTT else 0


def rate(bits: float, numeric: bool) -> str:
    """Return a rate in bits per second with a unit's letter, in full for `numeric`."""
    if numeric:
        return f"{bits:.0f}"
    for least, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if bits >= least:
            return f"{bits / least:.3g}{letter}"
    return f"{bits:g}"


def _limits(info: dict[str, int]) -> str:
    """Return what was delivered, and how long what limited the sender (us)."""
    written = _plain(info, _DELIVERED)
    if tcp_info.app_limited(info["tcpi_delivery_rate_app_limited"]):
        written += " app_limited"
    busy = info["tcpi_busy_time"]
    if busy:
        written += f" busy:{busy // 1000}ms"
        for word in ("rwnd_limited", "sndbuf_limited"):
            limited = info[f"tcpi_{word}"]
            if limited:
                written += f" {word}:{limited // 1000}ms({100.0 * limited / busy:.1f}%)"
    return written


def _losses(info: dict[str, int]) -> str:
    unacked, now, ever = info["tcpi_unacked"], info["tcpi_retrans"], info["tcpi_total_retrans"]
    reordering, seen = info["tcpi_reordering"], info["tcpi_reord_seen"]
    return (
        (f" unacked:{unacked}" if unacked else "")
        + (f" retrans:{now}/{ever}" if now or ever else "")
        + _plain(info, _LOST)
        + (f" reordering:{reordering}" if reordering != _USUAL_REORDERING else "")
        + (f" reord_seen:{seen}" if seen else "")
    )


def _md5_keys(payload: bytes) -> str:
    return " md5keys:" + ",".join(
        f"{host(family, address)}/{prefix}={_escaped(key)}"
        for family, address, prefix, key in tcp_info.md5_keys(payload)
    )


def host(family: int, address: bytes) -> str:
    """Return an address in numbers: 16 bytes of IPv6, the first 4 otherwise."""
    from portside.ports.address import format_ipv4, format_ipv6

    return format_ipv6(address) if family == inet_diag.AF_INET6 else format_ipv4(address[:4])


def _escaped(key: bytes) -> str:
    """Write a key as print_escape_buf does: what is not printable, a backslash, a blank and a comma in octal."""
    return "".join(chr(one) if 0x20 < one < 0x7F and one not in b"\\," else f"\\{one:03o}" for one in key)


def _ulp(payload: bytes) -> str:
    from portside.faces.ss import ulp
    from portside.wire.ulp_info import ulp as decode

    try:
        return ulp.text(decode(payload))
    except BadReply:
        return ""


def _bytes(told: Told, name: str) -> bytes | None:
    found = told.get(name)
    return found if isinstance(found, bytes) else None


def of_proc(numbers: Sequence[int], retransmits: int) -> str:
    """Return what -i adds to a line of /proc/net/tcp: rto and ato in ticks, quick acks and mode, cwnd, ssthresh.

    The same list, of the few numbers that the text has; what it has not counts as zero, reordering too.
    """
    rto, ato, quick, window, threshold = numbers
    rounds = int(quick / 2)
    pieces = (
        (rto if rto != 3 * _TICKS else 0, f"rto:{rto / _TICKS:g}"),
        (ato, f"ato:{ato / _TICKS:g}"),
        (rounds, f"qack:{rounds}"),
        (rounds & 1, "bidir"),
        (window, f"cwnd:{window & _WORD}"),
        (threshold if threshold != -1 else 0, f"ssthresh:{threshold}"),
        (retransmits, f"retrans:{retransmits & _WORD}/0"),
    )
    return "".join(f" {piece}" for wanted, piece in pieces if wanted) + " reordering:0"


_TICKS = 100  # USER_HZ, on every architecture
_WORD = (1 << 32) - 1
