"""The records of `see`: what a socket, its holders and an open port are, whichever road they came by.

Numbers keep the kernel's units; names are the field's own.  A value that could not be learnt is `None` or empty
and its reason stands beside it (`owner_gap`, `Gap`): a missing permission is data, never an exception.
"""

from __future__ import annotations

from portside.record import Record

# Why a socket has no (visible) holder: values of Socket.owner_gap.
PERMISSION = "permission"  # holders exist that this user may not read
KERNEL = "kernel"  # the kernel itself owns it (wireguard, nfs, rds): no file descriptor anywhere
ACCEPT_QUEUE = "accept-queue"  # established by the kernel, not yet accepted by the listener
SYN_QUEUE = "syn-queue"  # handshake not finished
TIME_WAIT = "time-wait"  # the closed connection's shadow
ORPHAN = "orphan"  # every holder closed it, the kernel still delivers what is left
OTHER_PID_NAMESPACE = "other-pid-namespace"  # held by a process that this pid namespace cannot see
IN_FLIGHT = "in-flight"  # sent over a Unix socket (SCM_RIGHTS) and not yet received
GONE = "gone"  # closed between the dump and the look at processes


class Endpoint(Record):
    """One end of a socket.

    `address` is the kernel's text form (`0.0.0.0`, `fe80::1`), for Unix sockets the path (`@name` if abstract).
    `port` is 0 where none is bound.  `scope` is one of `portside.ports.scope`'s words, `device` the interface the
    socket is bound to (or a link-local address belongs to), `v6only` is `None` where it does not apply.
    """

    address: str
    port: int = 0
    scope: str = ""
    device: str = ""
    v6only: bool | None = None


class Queues(Record):
    """Bytes waiting: received and unread, sent and unacknowledged (for UDP: receive and send memory)."""

    receive: int = 0
    send: int = 0


class Backlog(Record):
    """A listener's accept queue: connections waiting, and the limit (`None` where the source does not tell)."""

    used: int
    limit: int | None


class Timer(Record):
    """A TCP socket's running timer: its name, seconds until it expires, retransmissions so far."""

    name: str
    expires: float
    retransmits: int


class Container(Record):
    """The container a process runs in: engine (`docker`, `podman`, `containerd`, `cri-o`, `lxc`, `nspawn`, ...).

    `name` is the runtime's own name for it where its files are readable, else empty; `pod` is the Kubernetes pod uid.
    """

    engine: str
    id: str
    name: str = ""
    pod: str = ""

    def __str__(self) -> str:
        return self.name or self.id[:12] or self.pod


class Process(Record):
    """One process, as /proc tells it.  Its identity is `pid` and `start_ticks` together (proc_pid_stat(5)).

    `name` is the kernel's comm with odd bytes kept as surrogates: escape it before a terminal sees it.  `started` is
    seconds since the epoch.  Fields that this user may not read are empty (`exe`, `cmdline`) or `None`.
    """

    pid: int
    name: str
    parent: int = 0
    start_ticks: int = 0
    started: float | None = None
    uid: int | None = None
    user: str = ""
    exe: str = ""
    cmdline: tuple[str, ...] = ()
    cgroup: str = ""
    unit: str = ""
    container: Container | None = None


class Owner(Record):
    """One descriptor that refers to a socket: who holds it, and under which number."""

    pid: int
    fd: int
    process: Process


class Socket(Record):
    """One socket of the kernel; its identity is `cookie` (0 where the source does not tell, as /proc/net).

    `family`: inet, inet6, unix, packet, netlink, vsock.  `type`: stream, dgram, raw, seqpacket, ...
    `protocol`: tcp, udp, udplite, raw, icmp, sctp, mptcp, unix, packet, netlink.
    `state`: the kernel's name in lower case (`listen`, `established`, ..., `bound-inactive`, `unconnected`).
    `backlog` is set on listeners alone.  `uid` is the creator's, `cgroup` the creator's cgroup v2 path.
    `unit` and `container` are the best known: the holders', else the cgroup's.  `socket_unit` is the systemd unit by
    which a manager holds it (socket activation), `kernel` the part of the kernel that holds it where that is known.
    `attributes` keeps what else the kernel told, by name; what this version does not know is kept as bytes under its
    number.
    """

    family: str
    type: str
    protocol: str
    state: str
    local: Endpoint
    remote: Endpoint
    queues: Queues = Queues()
    backlog: Backlog | None = None
    uid: int | None = None
    user: str = ""
    inode: int = 0
    cookie: int = 0
    netns: str = ""
    cgroup: str = ""
    unit: str = ""
    container: Container | None = None
    timer: Timer | None = None
    owners: tuple[Owner, ...] = ()
    owner_gap: str = ""
    socket_unit: str = ""
    kernel: str = ""
    attributes: tuple[tuple[str, object], ...] = ()

    def with_owners(
        self,
        owners: tuple[Owner, ...],
        gap: str,
        user: str,
        unit: str,
        container: Container | None,
        socket_unit: str = "",
        kernel: str = "",
    ) -> Socket:
        """Return the socket with what was learnt about its holders: `replace` in one call, for bulk."""
        return Socket(
            self.family, self.type, self.protocol, self.state, self.local, self.remote, self.queues, self.backlog,
            self.uid, user, self.inode, self.cookie, self.netns, self.cgroup, unit, container, self.timer,
            owners, gap, socket_unit, kernel, self.attributes,
        )  # fmt: skip


class Gap(Record):
    """Something a snapshot could not see: what, why, and how many of it; `next_step` says how to see it."""

    what: str
    why: str
    count: int
    next_step: str = ""
