"""The counters of the protocols in BSD's words: `netstat -s`.

A line is there where Linux counts the same thing; what it does not count has no line, rather than a zero.  Where BSD
adds bytes in parentheses, Linux has none.  With -ss lines of zero are left out.  UDP's numbers are those of both
families, as BSD's are.  Reference: usr.bin/netstat/inet.c, inet6.c; Documentation/networking/snmp_counter.rst.
"""

from __future__ import annotations

from portside.faces.bsd import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.bsd.options import Options
    from portside.system.host import Host

# (indent, what Linux calls it, several joined by +, BSD's words with {s} for the plural)
_TCP = (
    (1, "Tcp.OutSegs+Tcp.RetransSegs", "packet{s} sent"),
    (2, "TcpExt.TCPOrigDataSent", "data packet{s}"),
    (2, "Tcp.RetransSegs", "data packet{s} retransmitted"),
    (2, "TcpExt.TCPWinProbe", "window probe packet{s}"),
    (1, "Tcp.InSegs", "packet{s} received"),
    (2, "TcpExt.TCPPureAcks+TcpExt.TCPHPAcks", "ack{s}"),
    (2, "TcpExt.PAWSEstab", "old duplicate packet{s}"),
    (2, "TcpExt.TCPOFOQueue", "out-of-order packet{s}"),
    (2, "TcpExt.TCPDSACKRecv+TcpExt.TCPDSACKOfoRecv", "packet{s} received with dsack"),
    (2, "Tcp.InCsumErrors", "discarded for bad checksum{s}"),
    (1, "Tcp.ActiveOpens", "connection request{s}"),
    (1, "Tcp.PassiveOpens", "connection accept{s}"),
    (1, "TcpExt.ListenOverflows", "listen queue overflow{s}"),
    (1, "TcpExt.TCPTimeouts", "retransmit timeout{s}"),
    (2, "TcpExt.TCPAbortOnTimeout", "connection{s} dropped by rexmit timeout"),
    (2, "TcpExt.TCPKeepAlive", "keepalive probe{s} sent"),
    (1, "TcpExt.TCPHPAcks", "correct ACK header prediction{s}"),
    (1, "TcpExt.TCPHPHits", "correct data packet header prediction{s}"),
    (1, "TcpExt.SyncookiesSent", "cookie{s} sent"),
    (2, "TcpExt.SyncookiesRecv", "cookie{s} received"),
    (2, "TcpExt.SyncookiesFailed", "failed cookie{s} rejected"),
    (1, "TcpExt.TCPSackRecovery", "SACK recovery episode{s}"),
    (1, "TcpExt.TCPLostRetransmit", "SACK retransmission{s} lost"),
    (1, "TcpExt.TCPMD5Failure", "packet{s} with bad signature received"),
    (1, "TcpExt.TCPMD5Unexpected", "time{s} unexpected signature received"),
    (1, "TcpExt.TCPMD5NotFound", "time{s} no signature provided by segment"),
)
_UDP = (
    (
        1,
        "Udp.InDatagrams+Udp.NoPorts+Udp.InErrors+Udp6InDatagrams+Udp6NoPorts+Udp6InErrors",
        "datagram{s} received",
    ),
    (1, "Udp.InCsumErrors+Udp6InCsumErrors", "with bad checksum"),
    (1, "Udp.NoPorts+Udp6NoPorts", "dropped due to no socket"),
    (1, "Udp.IgnoredMulti+Udp6IgnoredMulti", "broadcast/multicast datagram{s} undelivered"),
    (1, "Udp.RcvbufErrors+Udp6RcvbufErrors", "dropped due to full socket buffers"),
    (1, "Udp.InDatagrams+Udp6InDatagrams", "delivered"),
    (1, "Udp.OutDatagrams+Udp6OutDatagrams", "datagram{s} output"),
)
_IP = (
    (1, "Ip.InReceives", "total packet{s} received"),
    (1, "IpExt.InCsumErrors", "bad header checksum{s}"),
    (1, "IpExt.InTruncatedPkts", "with data size < data length"),
    (1, "Ip.ReasmReqds", "fragment{s} received"),
    (1, "Ip.ReasmTimeout", "fragment{s} dropped after timeout"),
    (1, "Ip.ReasmOKs", "packet{s} reassembled ok"),
    (1, "Ip.InDelivers", "packet{s} for this host"),
    (1, "Ip.InUnknownProtos", "packet{s} for unknown/unsupported protocol"),
    (1, "Ip.ForwDatagrams", "packet{s} forwarded"),
    (1, "Ip.OutRequests", "packet{s} sent from this host"),
    (1, "Ip.OutDiscards", "output packet{s} dropped due to no bufs, etc."),
    (1, "Ip.OutNoRoutes", "output packet{s} discarded due to no route"),
    (1, "Ip.FragOKs", "output datagram{s} fragmented"),
    (1, "Ip.FragCreates", "fragment{s} created"),
    (1, "Ip.FragFails", "datagram{s} that can't be fragmented"),
)
_IP6 = (
    (1, "Ip6InReceives", "total packet{s} received"),
    (1, "Ip6InTruncatedPkts", "with data size < data length"),
    (1, "Ip6ReasmReqds", "fragment{s} received"),
    (1, "Ip6ReasmTimeout", "fragment{s} dropped after timeout"),
    (1, "Ip6ReasmOKs", "packet{s} reassembled ok"),
    (1, "Ip6InDelivers", "packet{s} for this host"),
    (1, "Ip6OutForwDatagrams", "packet{s} forwarded"),
    (1, "Ip6OutRequests", "packet{s} sent from this host"),
    (1, "Ip6OutDiscards", "output packet{s} dropped due to no bufs, etc."),
    (1, "Ip6OutNoRoutes", "output packet{s} discarded due to no route"),
    (1, "Ip6FragOKs", "output datagram{s} fragmented"),
    (1, "Ip6FragCreates", "fragment{s} created"),
    (1, "Ip6FragFails", "datagram{s} that can't be fragmented"),
)
_ICMP = ((1, "Icmp.InCsumErrors", "message{s} with bad checksum"),)
_ICMP6 = ((1, "Icmp6InCsumErrors", "bad checksum{s}"),)

_LINES = {"tcp": _TCP, "udp": _UDP, "ip": _IP, "icmp": _ICMP, "ip6": _IP6, "icmp6": _ICMP6}
_FAMILIES = {
    "": ("tcp", "udp", "ip", "icmp", "ip6", "icmp6"), "inet": ("tcp", "udp", "ip", "icmp"),
    "inet6": ("tcp", "udp", "ip6", "icmp6"),
}  # fmt: skip

# how the counter of a message's type begins, and what the types are called (RFC 792, RFC 1256; RFC 4443, RFC 4861)
_TYPES = {"icmp": "IcmpMsg.{}Type", "icmp6": "Icmp6{}Type"}
_NAMES = {
    "icmp": {
        0: "echo reply", 3: "destination unreachable", 4: "source quench", 5: "routing redirect", 8: "echo",
        9: "router advertisement", 10: "router solicitation", 11: "time exceeded", 12: "parameter problem",
        13: "time stamp", 14: "time stamp reply", 15: "information request", 16: "information request reply",
        17: "address mask request", 18: "address mask reply",
    },
    "icmp6": {
        1: "unreach", 2: "packet too big", 3: "time exceed", 4: "parameter problem", 128: "echo",
        129: "echo reply", 130: "multicast listener query", 131: "MLDv1 listener report",
        132: "MLDv1 listener done", 133: "router solicitation", 134: "router advertisement",
        135: "neighbor solicitation", 136: "neighbor advertisement", 137: "redirect",
        143: "MLDv2 listener report",
    },
}  # fmt: skip


def counters(options: Options, host: Host) -> Iterator[str]:
    """Yield the counters of the protocols that were asked for."""
    if options.protocol and options.protocol not in _LINES:
        raise Refused(f"{options.protocol}: no stats routine")
    counts = _read(host)
    for protocol in (options.protocol,) if options.protocol else _FAMILIES.get(options.family, ()):
        yield f"{protocol}:"
        if protocol in _TYPES:
            yield from _histogram(protocol, "Out", "Output", counts)
        for indent, names, words in _LINES[protocol]:
            known = [counts[name] for name in names.split("+") if name in counts]
            if known and (sum(known) or not options.nonzero):
                yield _line(indent, sum(known), words)
        if protocol in _TYPES:
            yield from _histogram(protocol, "In", "Input", counts)


def _read(host: Host) -> dict[str, int]:
    from portside.wire import counters as wire

    found: dict[str, int] = {}
    for name, parse in (("snmp", wire.pairs), ("netstat", wire.pairs), ("snmp6", wire.single)):
        try:
            text = host.net(name)
        except OSError:  # no IPv6 in this kernel
            continue
        found |= parse(text, name)
    return found


def _line(indent: int, count: int, words: str) -> str:
    return "\t" * indent + f"{count} {words.format(s='' if count == 1 else 's')}"


def _histogram(protocol: str, way: str, title: str, counts: dict[str, int]) -> Iterator[str]:
    """Yield the messages of each type that there were."""
    begin = _TYPES[protocol].format(way)
    types = {int(name[len(begin) :]): count for name, count in counts.items() if name.startswith(begin)}
    if any(types.values()):
        yield f"\t{title} histogram:"
    for number, count in sorted(types.items()):
        if count:
            yield f"\t\t{_NAMES[protocol].get(number, f'#{number}')}: {count}"
