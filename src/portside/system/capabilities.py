"""Named probes of what this kernel and this user can do: yes, no, or could not tell, and why.

A probe tries the thing itself; version numbers decide nothing (`since` only tells a reader where it came from).
Each leaves the machine as it was.
"""

from __future__ import annotations

import os

from portside.errors import NotPermitted, NotSupported, PortsideError
from portside.record import Record
from portside.system import netns
from portside.system.host import LIVE, Host
from portside.system.netlink import Netlink
from portside.system.privilege import how_to_see_more
from portside.wire import inet_diag, netlink_diag, packet_diag, tcp_states, unix_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

YES, NO, UNKNOWN = "yes", "no", "unknown"


class Finding(Record):
    """The outcome of a probe: its name, the answer, why, since which kernel it exists, and what its lack costs."""

    name: str
    answer: str
    reason: str
    since: str
    cost: str


class Probe(Record):
    """One thing to try: `attempt` returns what it saw, or raises."""

    name: str
    since: str
    cost: str
    attempt: Callable[[Host], str]


def examine(probe: Probe, host: Host = LIVE) -> Finding:
    """Try one probe; every outcome is a finding."""
    try:
        answer, reason = YES, probe.attempt(host)
    except NotPermitted as error:
        answer, reason = NO, f"{error.reason}; {error.next_step}" if error.next_step else error.reason
    except NotSupported as error:
        answer, reason = NO, error.reason
    except PortsideError as error:  # no answer, or not one of the expected form
        answer, reason = UNKNOWN, error.reason or str(error)
    except OSError as error:
        answer, reason = UNKNOWN, os.strerror(error.errno or 0).lower()
    return Finding(probe.name, answer, reason, probe.since, probe.cost)


def _dump(request: bytes, what: str) -> Callable[[Host], str]:
    def attempt(host: Host) -> str:
        with _link(host) as link:
            link.dump(request, what)
        return "the kernel answers"

    return attempt


def _link(host: Host) -> Netlink:
    if host.netlink is None:
        raise NotSupported("open", "netlink socket", "this host is read from text")
    return Netlink(opener=host.netlink)


def _inet(protocol: int, states: int = 1 << tcp_states.LISTEN, bytecode: bytes = b"") -> bytes:
    return inet_diag.request(inet_diag.AF_INET, protocol, states, bytecode=bytecode)


def _bound_inactive(host: Host) -> str:
    """Bind a TCP socket without listening and look for it in the answer."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held, _link(host) as link:
        held.bind(("127.0.0.1", 0))
        inode = os.fstat(held.fileno()).st_ino
        port = held.getsockname()[1]
        request = inet_diag.request(
            inet_diag.AF_INET, inet_diag.IPPROTO_TCP, 1 << tcp_states.BOUND_INACTIVE, sport=port
        )
        if inode not in inet_diag.column(link.dump(request, "bound sockets"), inet_diag.INODE_WORD):
            raise NotSupported(
                "read", "bound sockets", "the kernel does not tell bound sockets that do not listen"
            )
    return "a bound socket that does not listen is told"


def _destroy(host: Host) -> str:
    """Destroy a connection made for it, on loopback."""
    import socket

    with socket.socket() as listener, socket.socket() as client, _link(host) as link:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        ends = client.getsockname()[1], listener.getsockname()[1]
        request = inet_diag.request(
            inet_diag.AF_INET,
            inet_diag.IPPROTO_TCP,
            1 << tcp_states.ESTABLISHED,
            sport=ends[0],
            dport=ends[1],
        )
        inode = os.fstat(client.fileno()).st_ino
        for row in inet_diag.rows(link.dump(request, "connection")):
            # whatever else a kernel may answer, nobody else's socket is touched
            if row[14] == inode and (inet_diag.ntohs(row[4]), inet_diag.ntohs(row[5])) == ends:
                link.call(inet_diag.destroy_request(inet_diag.IPPROTO_TCP, row), "connection")
    return "a connection made for it was closed"


def _bpf_owners(host: Host) -> str:
    from portside.system import taskfiles

    taskfiles.socket_holders((1,))  # no socket has this inode: the witness alone comes out
    return "the iterator runs"


def _all_descriptors(host: Host) -> str:
    """Count the processes whose descriptors may not be read."""
    from portside.system.fds import unreadable

    denied = unreadable(host.proc)
    if not os.path.isdir(f"{host.proc}/1"):
        raise NotPermitted(
            "read", "descriptors", "other users' processes are hidden (hidepid)", how_to_see_more()
        )
    if denied:
        next_step = how_to_see_more() if os.geteuid() else ""
        raise NotPermitted(
            "read",
            "descriptors",
            f"{len(denied)} process{'es refuse' if len(denied) > 1 else ' refuses'}",
            next_step,
        )
    return "every process may be read"


def _netns(host: Host) -> str:
    netns.run_inside(netns.own(host), lambda: None)
    return "setns(2) is allowed"


def _btf(host: Host) -> str:
    size = os.stat(host.root + "/sys/kernel/btf/vmlinux").st_size
    return f"{size // 1024} KiB of types"


def _cgroup2(host: Host) -> str:
    from portside.system.cgroups import find_root

    root = find_root()
    if not root:
        raise NotSupported("find", "cgroup2", "no cgroup v2 is mounted")
    return f"mounted on {root}"


_FALLBACK = "read from the text of /proc/net: slower, no cookie, cgroup, backlog limit"
PROBES = (
    Probe("sock_diag tcp", "3.3", _FALLBACK, _dump(_inet(inet_diag.IPPROTO_TCP), "tcp sockets")),
    Probe("sock_diag udp", "3.3", _FALLBACK, _dump(_inet(inet_diag.IPPROTO_UDP), "udp sockets")),
    Probe("sock_diag udplite", "3.3", _FALLBACK, _dump(_inet(inet_diag.IPPROTO_UDPLITE), "udplite sockets")),
    Probe("sock_diag raw", "4.10", _FALLBACK, _dump(_inet(inet_diag.IPPROTO_RAW), "raw sockets")),
    Probe("sock_diag sctp", "4.7", "SCTP is not listed", _dump(_inet(inet_diag.IPPROTO_SCTP), "sctp sockets")),
    Probe(
        "sock_diag mptcp", "5.9", "MPTCP is listed as TCP", _dump(_inet(inet_diag.IPPROTO_MPTCP), "mptcp sockets")
    ),
    Probe("sock_diag unix", "3.3", _FALLBACK, _dump(unix_diag.request(0), "unix sockets")),
    Probe("sock_diag packet", "3.7", _FALLBACK, _dump(packet_diag.request(), "packet sockets")),
    Probe("sock_diag netlink", "3.10", _FALLBACK, _dump(netlink_diag.request(), "netlink sockets")),
    Probe("bound-inactive", "6.8", "ports held by sockets that do not listen are not listed", _bound_inactive),
    Probe("socket destroy", "4.5", "a connection cannot be closed without its process", _destroy),
    Probe("kernel types (BTF)", "4.18", "owners are read from /proc/PID/fd: slower on busy hosts", _btf),
    Probe("bpf owners", "5.8", "owners are read from /proc/PID/fd: slower on busy hosts", _bpf_owners),
    Probe("every process's descriptors", "", "without bpf owners: owners of other users' sockets are not named",
          _all_descriptors),
    Probe("other network namespaces", "3.0", "--netns all lists this namespace alone", _netns),
    Probe("cgroup v2", "4.5", "sockets of unreadable processes name no unit or container", _cgroup2),
)  # fmt: skip


def examine_all(host: Host = LIVE) -> list[Finding]:
    """Try every probe, in a fixed order."""
    return [examine(probe, host) for probe in PROBES]
