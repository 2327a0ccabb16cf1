"""Socket states (include/net/tcp_states.h) and the names Portside gives them.

The kernel uses TCP's numbers for every protocol; state 7 (TCP_CLOSE) means `unconnected` for a datagram or raw
socket and, for TCP, a socket that is bound and does not listen (asked for with bit 13, answered with state 7).
"""

from __future__ import annotations

ESTABLISHED = 1
SYN_SENT = 2
SYN_RECV = 3
FIN_WAIT1 = 4
FIN_WAIT2 = 5
TIME_WAIT = 6
CLOSE = 7
CLOSE_WAIT = 8
LAST_ACK = 9
LISTEN = 10
CLOSING = 11
NEW_SYN_RECV = 12  # kernel-internal: a request socket; asked for as SYN_RECV
BOUND_INACTIVE = 13  # 6.8 (commit 91051f003948): TCP sockets that are bound and neither listen nor connect

ALL = (1 << 14) - 1

NAMES = (
    "",
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "close",
    "close-wait",
    "last-ack",
    "listen",
    "closing",
    "syn-recv",
    "bound-inactive",
)


def stream_state(number: int) -> str:
    """Return the name of a TCP, MPTCP or SCTP state; an unknown number survives as `state-N`."""
    if number == CLOSE:
        return "bound-inactive"
    return NAMES[number] if 0 < number < len(NAMES) else f"state-{number}"


def datagram_state(number: int) -> str:
    """Return the name of a UDP, UDP-Lite or raw socket's state."""
    if number == CLOSE:
        return "unconnected"
    return NAMES[number] if 0 < number < len(NAMES) else f"state-{number}"
