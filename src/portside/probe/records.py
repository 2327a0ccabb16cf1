"""What a scan says of one port: a state, and the reason that it rests on.

States are nmap's (nmap(1), "port scanning basics"): they say what was learnt, not what is so.

| state           | what came back                                                                    |
|-----------------|-----------------------------------------------------------------------------------|
| `open`          | a connection, or an answer of the service                                         |
| `closed`        | the host itself refused: a TCP reset, or for UDP its own port-unreachable         |
| `filtered`      | an ICMP error from somebody, or nothing at all, retries included                   |
| `open|filtered` | UDP: nothing came back, which a service that stays silent does too                |
| `unknown`       | nothing was learnt: the probe could not be sent from here (`local-error`)         |
"""

from __future__ import annotations

from portside.record import Record

OPEN = "open"
CLOSED = "closed"
FILTERED = "filtered"
OPEN_FILTERED = "open|filtered"
UNKNOWN = "unknown"
STATES = (OPEN, CLOSED, FILTERED, OPEN_FILTERED, UNKNOWN)

SYN_ACK = "syn-ack"
RESET = "reset"
CONN_REFUSED = "conn-refused"  # what connect(2) says of a reset
UDP_RESPONSE = "udp-response"
NO_RESPONSE = "no-response"
LOCAL_ERROR = "local-error"
SELF_CONNECT = "self-connect"  # the kernel joined our own two halves (RFC 9293, 3.5): nobody listens

# ICMP destination unreachable (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1): code -> reason
ICMP_REASONS = {
    0: "net-unreach",
    1: "host-unreach",
    2: "proto-unreach",
    3: "port-unreach",
    5: "source-route-failed",
    6: "net-unknown",
    7: "host-unknown",
    9: "net-prohibited",
    10: "host-prohibited",
    11: "net-tos-unreach",
    12: "host-tos-unreach",
    13: "admin-prohibited",
    14: "precedence-violation",
    15: "precedence-cutoff",
}
# ICMPv6 destination unreachable (RFC 4443, 3.1; RFC 7610)
ICMPV6_REASONS = {
    0: "no-route",
    1: "admin-prohibited",
    2: "beyond-scope",
    3: "addr-unreach",
    4: "port-unreach",
    5: "failed-policy",
    6: "reject-route",
}
TIME_EXCEEDED = "time-exceeded"  # ICMP type 11, ICMPv6 type 3


class Result(Record):
    """What was learnt of one port.

    `target` is what the user called the host (a name), empty where that is the address.  `rtt` is in seconds, None
    where nothing came back.  `source` is who sent the ICMP error, empty where no error came or the target sent it
    itself.  `ttl` is that of the answer where the method sees it.  `service` is
    what answered, by its own words (`identify`), with `details` as (what, text); `banner` what it said unasked.
    """

    address: str
    protocol: str
    port: int
    state: str
    reason: str
    rtt: float | None = None
    source: str = ""
    ttl: int | None = None
    target: str = ""
    service: str = ""
    banner: str = ""
    details: tuple[tuple[str, str], ...] = ()


def icmp_reason(family_bytes: int, type: int, code: int) -> str:
    """Return the reason of an ICMP (4) or ICMPv6 (16) error; an unlisted one is told by its numbers."""
    unreachable, exceeded, reasons = (3, 11, ICMP_REASONS) if family_bytes == 4 else (1, 3, ICMPV6_REASONS)
    if type == exceeded:
        return TIME_EXCEEDED
    if type == unreachable and code in reasons:
        return reasons[code]
    return f"icmp-{type}-{code}"
