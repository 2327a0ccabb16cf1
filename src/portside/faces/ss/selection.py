"""Which tables, families and states are shown: ss's own bookkeeping, because what it selects depends on the order.

Naming a table adds the states that are usual for it, naming a family likewise and makes it the preferred one; what
was left open is filled in at the end (`Selection.complete`).  The filter may still change families
(`dst unix:/run/x`).  Reference: misc/ss.c of iproute2 6.1; states: include/net/tcp_states.h.
"""

from __future__ import annotations

from portside.wire import tcp_states
from portside.wire.sock_diag import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_PACKET,
    AF_TIPC,
    AF_UNIX,
    AF_VSOCK,
    AF_XDP,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = (1 << tcp_states.NEW_SYN_RECV) - 1  # bit 0 too, as ss asks it
BOUND = 1 << tcp_states.BOUND_INACTIVE
LISTENING = 1 << tcp_states.LISTEN | 1 << tcp_states.CLOSE
_CLOSE = 1 << tcp_states.CLOSE
_ESTABLISHED = 1 << tcp_states.ESTABLISHED
_BUCKET = 1 << tcp_states.SYN_RECV | 1 << tcp_states.TIME_WAIT
CONNECTED = ALL & ~(LISTENING | _BUCKET)
_TIPC = _ESTABLISHED | LISTENING

_INET = frozenset((AF_INET, AF_INET6))
_UNIX_TABLES = ("u_str", "u_dgr", "u_seq")
_PACKET_TABLES = ("p_raw", "p_dgr")
_VSOCK_TABLES = ("v_str", "v_dgr")
_INET_TABLES = ("tcp", "mptcp", "udp", "dccp", "sctp", "raw")

# table -> its usual states, its families
_DEFAULTS: dict[str, tuple[int, frozenset[int]]] = {
    "tcp": (CONNECTED, _INET),
    "mptcp": (CONNECTED, _INET),
    "dccp": (CONNECTED, _INET),
    "udp": (_ESTABLISHED, _INET),
    "raw": (_ESTABLISHED, _INET),
    "u_dgr": (_CLOSE, frozenset((AF_UNIX,))),
    "u_str": (CONNECTED, frozenset((AF_UNIX,))),
    "u_seq": (CONNECTED, frozenset((AF_UNIX,))),
    "p_dgr": (_CLOSE, frozenset((AF_PACKET,))),
    "p_raw": (_CLOSE, frozenset((AF_PACKET,))),
    "netlink": (_CLOSE, frozenset((AF_NETLINK,))),
    "sctp": (CONNECTED, _INET),
    "v_str": (CONNECTED, frozenset((AF_VSOCK,))),
    "v_dgr": (CONNECTED, frozenset((AF_VSOCK,))),
    "tipc": (_TIPC, frozenset((AF_TIPC,))),
    "xdp": (_CLOSE, frozenset((AF_XDP,))),
}
# family -> its tables, its usual states
_FAMILIES: dict[int, tuple[tuple[str, ...], int]] = {
    AF_UNIX: (_UNIX_TABLES, CONNECTED),
    AF_INET: (_INET_TABLES, CONNECTED),
    AF_INET6: (_INET_TABLES, CONNECTED),
    AF_NETLINK: (("netlink",), _CLOSE),
    AF_PACKET: (_PACKET_TABLES, _CLOSE),
    AF_TIPC: (("tipc",), _TIPC),
    AF_VSOCK: (_VSOCK_TABLES, CONNECTED),
    AF_XDP: (("xdp",), _CLOSE),
}
FAMILY_WORDS = {
    "inet": AF_INET, "inet6": AF_INET6, "link": AF_PACKET, "unix": AF_UNIX, "netlink": AF_NETLINK,
    "tipc": AF_TIPC, "vsock": AF_VSOCK, "xdp": AF_XDP,
}  # fmt: skip
# words of -A -> tables; `all` leaves tipc out, as ss does
QUERIES: dict[str, tuple[str, ...]] = {
    "all": tuple(table for table in _DEFAULTS if table != "tipc"),
    "inet": _INET_TABLES,
    "unix": _UNIX_TABLES,
    "packet": _PACKET_TABLES,
    "vsock": _VSOCK_TABLES,
    **{table: (table,) for table in _DEFAULTS},
    "unix_stream": ("u_str",),
    "unix_dgram": ("u_dgr",),
    "unix_seqpacket": ("u_seq",),
    "packet_raw": ("p_raw",),
    "packet_dgram": ("p_dgr",),
    "vsock_stream": ("v_str",),
    "vsock_dgram": ("v_dgr",),
}

_STATE_WORDS = {
    "unknown": 1,
    "established": _ESTABLISHED,
    "syn-sent": 1 << tcp_states.SYN_SENT,
    "syn-recv": 1 << tcp_states.SYN_RECV,
    "syn-rcv": 1 << tcp_states.SYN_RECV,
    "fin-wait-1": 1 << tcp_states.FIN_WAIT1,
    "fin-wait-2": 1 << tcp_states.FIN_WAIT2,
    "time-wait": 1 << tcp_states.TIME_WAIT,
    "unconnected": _CLOSE,
    "close": _CLOSE,
    "closed": _CLOSE,
    "close-wait": 1 << tcp_states.CLOSE_WAIT,
    "last-ack": 1 << tcp_states.LAST_ACK,
    "listening": 1 << tcp_states.LISTEN,
    "closing": 1 << tcp_states.CLOSING,
    "bound-inactive": BOUND,
    "all": ALL,
    "connected": ALL & ~LISTENING,
    "synchronized": ALL & ~(LISTENING | 1 << tcp_states.SYN_SENT),
    "bucket": _BUCKET,
    "big": ALL & ~_BUCKET,
}


def state_mask(word: str) -> int | None:
    """Return the states that a word names, as bits by kernel number; None for no such word."""
    return _STATE_WORDS.get(word.lower()) if word.isascii() else None


class Selection:
    """Tables, states and families chosen so far; `default` until any was, `preferred` the family named last."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.states = 0
        self.families: set[int] = set()
        self.preferred = 0
        self.default = True

    def add_tables(self, tables: Iterable[str]) -> None:
        """Show these tables, in their usual states too."""
        for table in tables:
            self.tables.add(table)
            self.states |= _DEFAULTS[table][0]
        self.default = False

    def drop_tables(self, tables: Iterable[str]) -> None:
        """Do not show these tables."""
        self.tables.difference_update(tables)
        self.default = False

    def add_family(self, family: int) -> None:
        """Show a family, in its usual states too."""
        self.states |= _FAMILIES[family][1]
        self.families.add(family)
        self.preferred = family
        self.default = False

    def query(self, word: str) -> bool:
        """Take one word of -A, `!word` to leave its tables out; return False for a word there is not."""
        tables = QUERIES.get(word.removeprefix("!"))
        if tables is None:
            return False
        if word.startswith("!"):
            self.drop_tables(tables)
        else:
            self.add_tables(tables)
        return True

    def only_family(self, family: int) -> None:
        """Show this family alone, as the filter's conditions on one ask for; the states stay."""
        self.families = {family}
        self.preferred = family

    def complete(self) -> None:
        """Add the families that the tables lack, then the tables that the families lack."""
        for table in _DEFAULTS:
            if table in self.tables and not self.families & _DEFAULTS[table][1]:
                self.families |= _DEFAULTS[table][1]
        for family in sorted(self.families):
            tables = _FAMILIES[family][0]
            if not self.tables.intersection(tables):
                self.tables.update(tables)
