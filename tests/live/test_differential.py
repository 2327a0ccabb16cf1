"""Our rows against those of ss, netstat, lsof and psutil, of the same sockets at the same moment.

From each of our rows it is foretold what the peer says: only the columns it has (`tells`), changed where a known
difference applies.  What is foretold has to be exactly what it says, row for row; so an error of ours shows, and so
does a difference that is not in the table.  Every entry of the table has to come true in the world, or it is wrong.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.live import ours
from tests.live.peers import Row
from tests.support import require

if TYPE_CHECKING:
    from collections.abc import Callable

PORTSIDE, PEER, BOTH = "portside", "the peer", "both"
NETLINK_NUMBERS = {
    "route": "0", "sock-diag": "4", "xfrm": "6", "audit": "9", "fib-lookup": "10", "netfilter": "12",
    "kobject-uevent": "15", "generic": "16",
}  # fmt: skip
ONLY_IN_A_THREAD = {26304, 26305}  # the ports of cast/holders.py: own_table, leader_gone


class Difference(NamedTuple):
    """What a peer says otherwise.

    `says` makes its row of ours (None: no row), `more` knows a row that only it has, `merges` tells whether it says
    rows that are equal in all its columns once.
    """

    what: str
    right: str
    why: str
    says: Callable[[Row, list[Row]], Row | None] = lambda row, _: row
    more: Callable[[Row], bool] = lambda _: False
    merges: bool = False


def unless(condition: Callable[[Row], bool]) -> Callable[[Row, list[Row]], Row | None]:
    """No row where the condition holds."""
    return lambda row, _: None if condition(row) else row


def where(condition: Callable[[Row], bool], **values: object) -> Callable[[Row, list[Row]], Row | None]:
    """Other values where the condition holds."""
    return lambda row, _: row._replace(**values) if condition(row) else row  # type: ignore[arg-type]


def protocol(*names: str) -> Callable[[Row], bool]:
    """Whether the row's protocol is one of these."""
    return lambda row: row.protocol in names


def one_holder(row: Row, theirs: list[Row]) -> Row:
    """The row with the one holder that the peer names, if it is one of ours."""
    assert row.holders is not None
    if len(row.holders) < 2:
        return row
    for their in theirs:
        if their.holders and their.holders < row.holders:
            return row._replace(holders=their.holders)
    return row


def cut_name(row: Row, _: list[Row]) -> Row:
    """Process names as ss 6.1 reads them from /proc/PID/stat: to the first parenthesis that closes."""
    return row._replace(names=row.names and frozenset(name.partition(")")[0] for name in row.names))


def first_word(row: Row, _: list[Row]) -> Row:
    """A Unix name up to its first blank."""
    if row.family != "unix" or not row.local:
        return row
    return row._replace(local=row.local.split(maxsplit=1)[0])


def lsof_escapes(row: Row, _: list[Row]) -> Row:
    """A Unix name as lsof prints bytes that are not printable: `^A`, `\\xff`."""
    if row.family != "unix" or not row.local:
        return row
    text = "".join(f"^{chr(ord(c) + 64)}" if c < " " else c for c in row.local)
    return row._replace(
        local="".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)
    )


def unmapped(row: Row, _: list[Row]) -> Row:
    """`::ffff:127.0.0.1` as `127.0.0.1`; its wildcard peer stays `::`."""
    if row.family != "inet6":
        return row
    local, remote = (address and address.removeprefix("::ffff:") for address in (row.local, row.remote))
    return row._replace(local=local, remote=remote)


def signed(row: Row, _: list[Row]) -> Row:
    """A netlink port id as a signed number."""
    if row.protocol != "netlink" or row.lport is None or row.lport < 1 << 31:
        return row
    return row._replace(lport=row.lport - (1 << 32))


def unheld(row: Row) -> bool:
    """Whether nobody is known to hold it."""
    return not row.holders


def thread_only(row: Row) -> bool:
    """Whether only /proc/PID/task/TID/fd shows the holder."""
    return row.protocol == "tcp" and row.lport in ONLY_IN_A_THREAD


def without_thread(row: Row, _: list[Row]) -> Row:
    """The row without holders that are such a thread."""
    if not thread_only(row):
        return row
    return row._replace(holders=frozenset(), names=row.names and frozenset())


NO_PING = Difference(
    "no ping sockets", PORTSIDE, "/proc/net/icmp lists them (icmp(7))", unless(protocol("icmp"))
)
NO_MPTCP = Difference(
    "no MPTCP", PORTSIDE, "there is no /proc/net/mptcp: only the TCP subflows show", unless(protocol("mptcp"))
)
NO_BOUND_INACTIVE = Difference(
    "no TCP sockets that are bound and do not listen",
    PORTSIDE,
    "not in /proc/net/tcp, nor asked for by ss before 6.8 (-B); bind() says EADDRINUSE because of them",
    unless(lambda row: row.state == "bound-inactive"),
)
NO_THREADS = Difference(
    "no holder that is a thread with its own descriptors, or whose first thread has ended",
    PORTSIDE,
    "they read /proc/PID/fd, which is the first thread's table; /proc/PID/task/TID/fd shows the other",
    without_thread,
)
ONE_HOLDER = Difference("one holder of several", PORTSIDE, "they keep one for each inode", one_holder)
NO_LIMIT = Difference(
    "no limit of a listener's backlog",
    PORTSIDE,
    "/proc/net/tcp has 0 there; sock_diag has the limit",
    where(lambda row: row.protocol == "tcp" and row.state == "listen", send=0),
)
UNMAPPED = Difference(
    "v4-mapped addresses without their prefix",
    PORTSIDE,
    "an IPv6 row then shows an IPv4 address, and two different sockets look alike",
    unmapped,
)
FIRST_WORD = Difference(
    "Unix names end at the first blank",
    PORTSIDE,
    "they split the line of /proc/net/unix at blanks",
    first_word,
)

KNOWN_DIFFERENCES: dict[str, list[Difference]] = {
    "ss": [
        Difference("no UDP-Lite", PORTSIDE, "ss has no table for it", unless(protocol("udplite"))),
        NO_PING,
        NO_BOUND_INACTIVE,
        NO_THREADS,
        Difference(
            "process names end at the first ')'",
            PORTSIDE,
            "6.1 reads /proc/PID/stat with %[^)] (misc/ss.c); a name may hold one",
            cut_name,
        ),
        Difference(
            "netlink port ids are negative",
            PORTSIDE,
            "nl_pid is __u32 (linux/netlink.h); ss prints %d",
            signed,
        ),
        Difference(
            "netlink sockets with groups twice",
            PORTSIDE,
            "the kernel dumps its hash table and then its list of group members (net/netlink/diag.c): "
            "two answers of one cookie are one socket",
            more=lambda row: row.protocol == "netlink" and row.lport != 0 and row.local in ("0", "15"),
        ),
        Difference(
            "the netlink socket it asks through",
            BOTH,
            "every observer sees its own; ours is left out of this comparison",
            more=lambda row: row.protocol == "netlink" and row.lport != 0 and row.local == "4",
        ),
    ],
    "netstat": [
        NO_MPTCP,
        NO_PING,
        Difference(
            "no packet sockets", PORTSIDE, "it does not read /proc/net/packet", unless(protocol("packet"))
        ),
        Difference("no netlink sockets", PORTSIDE, "nor /proc/net/netlink", unless(protocol("netlink"))),
        NO_BOUND_INACTIVE,
        NO_THREADS,
        ONE_HOLDER,
        NO_LIMIT,
        UNMAPPED,
        FIRST_WORD,
        Difference(
            "Unix connections that wait to be accepted",
            PEER,
            "in /proc/net/unix with inode 0; unix_diag leaves out what has no inode (net/unix/diag.c, sk_diag_dump); "
            "we say how many wait, at the listener",
            more=lambda row: row.protocol == "unix" and row.state == "connecting" and row.inode == 0,
        ),
    ],
    "netstat -l": [NO_MPTCP, NO_BOUND_INACTIVE, NO_THREADS, ONE_HOLDER, NO_LIMIT, UNMAPPED],
    "lsof": [
        Difference("nothing that only a thread holds", PORTSIDE, NO_THREADS.why, unless(thread_only)),
        Difference("nothing that nobody holds", BOTH, "it lists open files (lsof(8))", unless(unheld)),
        NO_MPTCP,
        NO_BOUND_INACTIVE,
        NO_LIMIT,
        UNMAPPED,
        FIRST_WORD,
        Difference(
            "bytes that are not printable are escaped",
            BOTH,
            "it writes for a terminal; our records keep the bytes, and our output escapes them",
            lsof_escapes,
        ),
    ],
    "psutil": [
        Difference(
            "no UDP-Lite and no raw sockets",
            PORTSIDE,
            "of /proc/net it reads tcp, udp and unix",
            unless(protocol("udplite", "raw")),
        ),
        NO_PING,
        NO_MPTCP,
        NO_BOUND_INACTIVE,
        NO_THREADS,
        ONE_HOLDER,
        Difference(
            "sockets that look alike once",
            PORTSIDE,
            "it puts rows without inode into a set: workers of one port, their owners hidden, become one",
            merges=True,
        ),
    ],
}
IP = ("inet", "inet6")
MASKS = {
    "netstat": dict.fromkeys(("device", "v6only", "cookie", "names")),
    "lsof": dict.fromkeys(("device", "v6only", "cookie", "names", "uid")),
    "psutil": dict.fromkeys(("device", "v6only", "cookie", "names", "uid", "inode", "receive", "send")),
}


def tells(peer: str, row: Row) -> Row | None:
    """Our row with the columns the peer has; None where it was not asked for the kind."""
    if peer == "ss":
        return _ss_tells(row)
    peer = peer.removesuffix(" -l")
    row = row._replace(**MASKS[peer])
    if row.family == "unix":
        row = row._replace(remote=None, rport=None, uid=None, receive=None, send=None)
    if peer == "netstat" and row.holders is not None:
        row = row._replace(holders=frozenset((pid, None) for pid, _ in row.holders))
    if peer == "lsof" and row.protocol not in ("tcp", "mptcp", "unix"):
        row = row._replace(state=None)
    if peer == "psutil" and row.protocol == "udp":
        row = row._replace(state=None)
    asked = {"netstat": True, "lsof": row.protocol in LSOF_ASKED, "psutil": row.family in IP}[peer]
    return row if asked else None


LSOF_ASKED = ("tcp", "udp", "udplite", "mptcp", "unix")


def _ss_tells(row: Row) -> Row:
    if row.protocol == "raw":  # from /proc/net/raw: this kernel has no raw_diag
        return row._replace(v6only=None, inode=None, cookie=None, uid=None)
    if row.protocol == "unix":
        return row._replace(remote=None, rport=None, device=None, v6only=None, cookie=None, uid=None)
    if row.protocol == "packet":
        number = 3 if row.local == "*" else int(row.local or "0", 16)
        return row._replace(local=None, lport=number, remote=None, rport=None, receive=None)
    if row.protocol == "netlink":
        return Row("netlink", "netlink", row.state, NETLINK_NUMBERS[row.local or ""], row.lport, None, None)
    return row


def theirs(peer: str, rows: list[Row]) -> list[Row]:
    """The peer's rows without the queues that change while one looks."""
    if peer == "ss":
        return [
            row._replace(receive=None, **({"send": None} if row.protocol == "netlink" else {}))
            if row.protocol in ("packet", "netlink")
            else row
            for row in rows
        ]
    return rows


def is_open(row: Row) -> bool:
    """Open by netstat -l: it listens, or is UDP without a peer."""
    stream = row.protocol in ("tcp", "mptcp") and row.state in ("listen", "bound-inactive")
    return stream or (row.protocol in ("udp", "udplite", "raw") and row.remote in ("0.0.0.0", "::"))


class Comparison(NamedTuple):
    """What was foretold and not said, what was said and not foretold, and how often each difference came true."""

    unsaid: Counter[Row]
    unforetold: Counter[Row]
    came_true: Counter[str]


def compare(peer: str, mine: list[Row], said: list[Row]) -> Comparison:
    """Foretell the peer's rows from ours and compare."""
    came_true: Counter[str] = Counter()
    said = theirs(peer, said)
    by_name: dict[tuple[object, ...], list[Row]] = {}
    for row in said:
        by_name.setdefault(_name(row), []).append(row)
    foretold: Counter[Row] = Counter()
    for row in mine:
        told = tells(peer, row)
        for difference in KNOWN_DIFFERENCES[peer]:
            if told is None:
                break
            changed = difference.says(told, by_name.get(_name(told), []))
            came_true[difference.what] += changed != told
            told = changed
        if told is not None:
            foretold[told] += 1
    for difference in KNOWN_DIFFERENCES[peer]:
        if difference.merges:
            came_true[difference.what] += foretold.total() - len(foretold)
            foretold = Counter(set(foretold))
    rest = Counter(said) - foretold
    for row in list(rest):
        for difference in KNOWN_DIFFERENCES[peer]:
            if difference.more(row):
                came_true[difference.what] += rest.pop(row)
                break
    return Comparison(foretold - Counter(said), rest, came_true)


def _name(row: Row) -> tuple[object, ...]:
    return row[0:2] + row[3:7] + (row.inode,)


def compared(sight, peer: str, user: str) -> Comparison:
    """Compare what we and the peer said, as root or as the other user."""
    said = sight.said(peer, user)
    mine = [ours.row(socket) for socket in sight.look("bpf", user).sockets]
    if peer.endswith(" -l"):
        mine = [row for row in mine if is_open(row)]
    return compare(peer, mine, said)


PEERS = sorted(KNOWN_DIFFERENCES)


@pytest.mark.parametrize("user", ["root", "other"])
@pytest.mark.parametrize("peer", PEERS)
def test_rows_equal_those_of_the_peer(sight, peer, user):
    result = compared(sight, peer, user)
    assert not result.unsaid, f"{peer} does not say:\n" + "\n".join(map(str, result.unsaid))
    assert not result.unforetold, f"{peer} says, and we do not:\n" + "\n".join(map(str, result.unforetold))


@pytest.mark.parametrize("peer", PEERS)
def test_every_known_difference_comes_true(sight, peer):
    came_true = compared(sight, peer, "root").came_true + compared(sight, peer, "other").came_true
    dead = [difference.what for difference in KNOWN_DIFFERENCES[peer] if not came_true[difference.what]]
    assert not dead, f"{peer}: take these out of the table: {dead}"


def test_psutil_fails_on_a_name_that_any_user_can_bind(sight):
    """A line break and a blank in an abstract name: psutil raises for everybody on the host; we list it."""
    error = sight.psutil_unix_error
    require(error is not None, "psutil is not installed")
    assert "malformed line" in error
    assert any(socket.local.address.startswith("@\x01odd\n") for socket in sight.look("bpf", "root").sockets)
