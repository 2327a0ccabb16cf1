"""Every socket of the world is in our snapshot as its maker says: by identity, with state, names and all holders.

By each road: sock_diag with owners by BPF, with owners by /proc/PID/fd, and the text of /proc/net alone.  What a road
cannot know is listed (`LIMITS`) and is then not to be in its answer; nothing is skipped silently.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.live import ours
from tests.live.conftest import NOBODY
from tests.support import require

from portside.see.snapshot import Wish

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.cast.actor import Entry

    from portside.see.records import Socket

NETLINK = {0: "route", 15: "kobject-uevent", 16: "generic"}


class Limits(NamedTuple):
    """What a road cannot tell: kinds of sockets it does not list, and columns it does not have."""

    blind: Callable[[Entry], bool]
    threads: bool = True
    cookie: bool = True
    device: bool = True
    v6only: bool = True
    backlog_limit: bool = True
    unix_uid: bool = True


def waiting_unix(entry: Entry) -> bool:
    """A Unix connection in an accept queue: it has no inode, and unix_diag leaves those out (sk_diag_dump)."""
    return entry.family == "unix" and entry.gap == "accept-queue"


def not_in_text(entry: Entry) -> bool:
    """/proc/net has neither MPTCP nor what is bound and does not listen."""
    return entry.protocol == "mptcp" or entry.state == "bound-inactive"


LIMITS = {
    "bpf": Limits(waiting_unix),
    "proc": Limits(waiting_unix, threads=False),
    "text": Limits(
        not_in_text,
        threads=False,
        cookie=False,
        device=False,
        v6only=False,
        backlog_limit=False,
        unix_uid=False,
    ),
}


def here(world, road: str = "bpf") -> list[Entry]:
    """The entries that the road can see from inside the world."""
    blind = LIMITS[road].blind
    return [
        entry
        for entry in world.entries
        if entry.visible and entry.netns == world.space.inode and not blind(entry)
    ]


def find(entry: Entry, sockets: list[Socket]) -> list[Socket]:
    """The sockets that are this entry: by cookie, else by inode, else by protocol, state and both ends."""
    alike = [
        socket for socket in sockets if (socket.protocol, socket.family) == (entry.protocol, entry.family)
    ]
    by_cookie = [socket for socket in alike if socket.cookie and socket.cookie == entry.cookie]
    if by_cookie:
        return by_cookie
    if entry.inode is not None:
        alike = [socket for socket in alike if socket.inode == entry.inode]
    if entry.inode:
        return alike
    return [socket for socket in alike if (socket.state, ends(socket)) == (entry.state, told(entry))]


def ends(socket: Socket) -> tuple[object, ...]:
    """Both ends of a socket."""
    return socket.local.address, socket.local.port, socket.remote.address, socket.remote.port


def told(entry: Entry) -> tuple[object, ...]:
    """Both ends as the maker told them."""
    local, remote = entry.local or ("", 0), entry.remote or ("", 0)
    return local[0], local[1] or 0, remote[0], remote[1] or 0


def problems(entry: Entry, socket: Socket, limits: Limits) -> list[str]:
    """What our record says otherwise than the maker of the socket."""
    expected = {"type": entry.type, "state": entry.state}
    found = {"type": socket.type, "state": socket.state}

    def check(name: str, value: object, ours: object) -> None:
        expected[name], found[name] = value, ours

    if entry.family in ("inet", "inet6"):
        check("local address", entry.local and entry.local[0], socket.local.address)
        check("local port", entry.local and entry.local[1], socket.local.port)
        check("remote address", entry.remote and entry.remote[0], socket.remote.address)
        check("remote port", entry.remote and entry.remote[1], socket.remote.port)
    elif entry.family == "unix":
        name = entry.local[0] if entry.local else ""
        check(
            "name",
            name[:1] + name[1:].replace("\0", "@") if name.startswith("@") else name,
            socket.local.address,
        )
    elif entry.family == "netlink":
        check("port id", entry.local and entry.local[1], socket.local.port)
        check("netlink protocol", NETLINK[entry.number or 0], socket.local.address)
    elif entry.family == "packet":
        check("ethertype", "*" if entry.number == 3 else f"0x{entry.number:04x}", socket.local.address)
    check("inode", entry.inode, socket.inode)
    if limits.cookie:
        check("cookie", entry.cookie if socket.protocol not in ("raw", "icmp") else None, socket.cookie)
    if limits.device or entry.family == "packet":
        check("device", entry.device, socket.local.device)
    if limits.v6only:
        check("v6only", entry.v6only, socket.local.v6only)
    if entry.family != "netlink" and (limits.unix_uid or entry.family != "unix"):
        check("uid", entry.uid, socket.uid)
    if entry.backlog is not None:
        used = socket.backlog and socket.backlog.used
        limit = socket.backlog and socket.backlog.limit
        if limits.backlog_limit or entry.family != "unix":
            check("backlog used", entry.backlog[0], used)
        check("backlog limit", entry.backlog[1] if limits.backlog_limit else None, limit)
    if entry.queues is not None:
        check("queues", entry.queues, (socket.queues.receive, socket.queues.send))
    return [
        f"{name} should be {value!r}, is {found[name]!r}"
        for name, value in expected.items()
        if value is not None and value != found[name]
    ]


ROADS = sorted(ours.ROADS)


def look(sight, road: str) -> ours.Look:
    """Our snapshot by a road; the BPF road only where the kernel lets us."""
    seen = sight.look(road, "root")
    if road == "bpf":
        require(seen.roads["owners"] == "bpf", "needs root, and a kernel with BPF iterators and BTF")
    return seen


@pytest.mark.parametrize("road", ROADS)
def test_every_socket_is_found_once_and_as_its_maker_says(world, sight, road):
    sockets = look(sight, road).sockets
    wrong = []
    for entry in here(world, road):
        found = find(entry, sockets)
        if len(found) != 1:
            wrong.append(f"{entry.what}: found {len(found)} times")
        else:
            wrong += [f"{entry.what}: {text}" for text in problems(entry, found[0], LIMITS[road])]
    assert not wrong, "\n".join(wrong)


def sees_holders(entry: Entry, road: str) -> bool:
    """Whether the road looks where the holder is: a thread's own table is not in /proc/PID/fd."""
    return LIMITS[road].threads or entry.what != "tcp listen, thread with its own table"


@pytest.mark.parametrize("road", ROADS)
def test_all_holders_are_named(world, sight, road):
    wrong = []
    sockets = look(sight, road).sockets
    for entry in here(world, road):
        for socket in find(entry, sockets):
            holders = {(owner.pid, owner.fd) for owner in socket.owners}
            expected = set(entry.holders) if sees_holders(entry, road) else set()
            if holders != expected:
                wrong.append(f"{entry.what}: should be held by {expected}, is by {holders}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("road", ROADS)
def test_a_socket_without_holders_says_why(world, sight, road):
    wrong = []
    sockets = look(sight, road).sockets
    unreadable = any(gap.why == "permission" for gap in look(sight, road).gaps)
    for entry in here(world, road):
        for socket in find(entry, sockets):
            expected = set(entry.gap.split("|"))
            if not sees_holders(entry, road):
                expected = {"kernel", "gone"}
            if unreadable and "kernel" in expected:
                expected.add("permission")  # some process of this host refuses even root: it may hold it
            if socket.owner_gap not in expected:
                wrong.append(f"{entry.what}: the gap should be {entry.gap!r}, is {socket.owner_gap!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("road", ["bpf", "proc"])
def test_nothing_is_told_twice(sight, road):
    counted = Counter(socket.cookie for socket in look(sight, road).sockets if socket.cookie)
    twice = {cookie for cookie, count in counted.items() if count > 1}
    assert not [socket for socket in look(sight, road).sockets if socket.cookie in twice]


@pytest.mark.parametrize("road", ["bpf", "proc"])
def test_nothing_is_invented(world, sight, road):
    """What no maker told of is a subflow of MPTCP, the kernel's end of a netlink protocol, or the kernel's vxlan."""
    sockets = look(sight, road).sockets
    explained = {id(socket) for entry in here(world, road) for socket in find(entry, sockets)}
    mptcp = {socket.inode for socket in sockets if socket.protocol == "mptcp"}
    rest = [
        socket
        for socket in sockets
        if id(socket) not in explained
        and not (socket.protocol == "tcp" and socket.inode in mptcp)
        and not (socket.protocol == "netlink" and socket.local.port == 0 and socket.owner_gap == "kernel")
    ]
    assert not rest


def test_process_names_survive(world, sight):
    sockets = sight.look("bpf", "root").sockets
    named = [entry for entry in world.entries if entry.comm is not None]
    assert len(named) > 5
    for entry in named:
        (socket,) = find(entry, sockets)
        assert [os.fsencode(owner.process.name) for owner in socket.owners] == [entry.comm]


def test_the_text_road_agrees_with_sock_diag(sight):
    """Both sources, socket by socket: what the text has is what sock_diag has, where the text has a word for it."""

    def rows(road: str) -> Counter[tuple[object, ...]]:
        return Counter(
            (socket.protocol, socket.family, socket.state, *ends(socket), socket.inode, socket.uid)
            for socket in look(sight, road).sockets
            if socket.protocol in ("tcp", "udp", "udplite", "raw", "icmp")
            and socket.state != "bound-inactive"
        )

    assert rows("text") == rows("proc")


def test_another_user_sees_every_socket_and_only_their_own_holders(world, sight):
    require(os.geteuid() == 0, "needs root, to be another user")
    seen = sight.look("bpf", "other")
    assert seen.roads["owners"] == "proc"
    wrong = []
    for entry in here(world):
        found = find(entry, seen.sockets)
        if len(found) != 1:
            wrong.append(f"{entry.what}: found {len(found)} times")
            continue
        (socket,) = found
        holders = {(owner.pid, owner.fd) for owner in socket.owners}
        expected = {holder for holder in entry.holders if holder in readable_by_nobody(world)}
        if holders != expected:
            wrong.append(f"{entry.what}: should show {expected}, shows {holders}")
        if not expected and entry.holders and socket.owner_gap != "permission":
            wrong.append(f"{entry.what}: the gap should be permission, is {socket.owner_gap!r}")
        wrong += [f"{entry.what}: {text}" for text in problems(entry, socket, LIMITS["bpf"])]
    assert not wrong, "\n".join(wrong)
    assert any(gap.why == "permission" and gap.count > 50 and gap.next_step for gap in seen.gaps)


def readable_by_nobody(world) -> set[tuple[int, int]]:
    """The holders that run as that user and may be read (proc_pid_fd(5)): dumpable."""
    return {
        holder
        for entry in world.entries
        for holder in entry.holders
        if any(word in entry.what for word in (", another user", "held by another user"))
        and "not dumpable" not in entry.what
    }


@pytest.fixture(scope="module")
def everywhere(world) -> ours.Look:
    """All network namespaces of the host, seen from the world."""
    require(os.geteuid() == 0, "needs root, to enter other namespaces")
    return ours.look(world.space, wish=Wish(every_netns=True))


def test_all_namespaces_are_read_and_named(world, everywhere):
    entry = world.one("tcp listen, other network namespace")
    (socket,) = find(entry, everywhere.sockets)
    assert str(entry.netns) in socket.netns
    assert {(owner.pid, owner.fd) for owner in socket.owners} == entry.holders
    assert not problems(entry, socket, LIMITS["bpf"])


def test_a_socket_stays_in_its_namespace_when_its_holder_leaves(world, everywhere):
    entry = world.one("tcp listen, process moved away")
    (socket,) = find(entry, everywhere.sockets)
    assert str(world.space.inode) in socket.netns
    assert {(owner.pid, owner.fd) for owner in socket.owners} == entry.holders


def test_in_another_pid_namespace_holders_are_said_to_be_elsewhere(world):
    require(os.geteuid() == 0, "needs root, for a pid namespace")
    for road in ("bpf", "proc"):
        seen = ours.look(world.space, road, new_pid=True)
        (socket,) = find(world.one("tcp listen, any v4"), seen.sockets)
        assert (socket.owners, socket.owner_gap) == ((), "other-pid-namespace")
        assert any(gap.why == "other-pid-namespace" and gap.count > 50 for gap in seen.gaps)


def test_the_world_is_whole(world):
    """The world has what the tests above rest on."""
    whats = {entry.what for entry in world.entries}
    assert {
        "tcp closing",
        "tcp time-wait",
        "tcp syn-recv",
        "tcp accept queue: waiting",
        "udp any v4",
    } <= whats
    assert NOBODY in {entry.uid for entry in world.entries} or os.geteuid()
