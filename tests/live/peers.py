"""What ss, netstat, lsof and psutil say of the same sockets, each as rows of one type.

Each reader runs the peer inside the namespace and parses its whole output strictly: a line it does not understand is
an error, not a line less.  A value the peer does not tell is None.  Formats: ss(8) of iproute2 6.1, netstat(8) of
net-tools 2.10, lsof(8) 4.95 `-F`, psutil 7.
"""

from __future__ import annotations

import re
import shutil
import socket
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.testing.namespaces import Namespace

ANY = {"inet": "0.0.0.0", "inet6": "::"}


class Row(NamedTuple):
    """One socket as somebody tells it; None is what they do not tell.

    `receive` and `send` are the two queue columns (for a listener: the backlog's use and limit).  `holders` are
    (pid, fd) or, from those who tell no descriptor, (pid, None).
    """

    protocol: str
    family: str
    state: str | None
    local: str | None
    lport: int | None
    remote: str | None
    rport: int | None
    device: str | None = None
    v6only: bool | None = None
    inode: int | None = None
    cookie: int | None = None
    uid: int | None = None
    receive: int | None = None
    send: int | None = None
    holders: frozenset[tuple[int, int | None]] | None = None
    names: frozenset[str] | None = None


def missing(*programs: str) -> list[str]:
    """Which of the peers' programs this machine lacks."""
    return [program for program in programs if shutil.which(program) is None]


# ---- ss ----------------------------------------------------------------------------------------------------------

SS_STATES = {
    "ESTAB": "established",
    "SYN-SENT": "syn-sent",
    "SYN-RECV": "syn-recv",
    "FIN-WAIT-1": "fin-wait-1",
    "FIN-WAIT-2": "fin-wait-2",
    "TIME-WAIT": "time-wait",
    "UNCONN": "unconnected",
    "CLOSE-WAIT": "close-wait",
    "LAST-ACK": "last-ack",
    "LISTEN": "listen",
    "CLOSING": "closing",
}
SS_TABLES = {
    "u_str": "unix",
    "u_dgr": "unix",
    "u_seq": "unix",
    "p_raw": "packet",
    "p_dgr": "packet",
    "nl": "netlink",
}
SS_TABLES |= {name: name for name in ("tcp", "udp", "raw", "mptcp", "sctp")}
_SS_LINE = re.compile(rf"^(?=(?:{'|'.join(SS_TABLES)}) +(?:{'|'.join(SS_STATES)}) +\d+ +\d+ )", re.MULTILINE)
_SS_HEAD = re.compile(
    r"(?P<netid>\w+) +(?P<state>\S+) +(?P<receive>\d+) +(?P<send>\d+) +(?P<rest>.*)", re.DOTALL
)
_SS_UNIX = re.compile(
    r"(?P<local>.*) (?P<inode>\d+) +(?P<remote>\*) +(?P<peer>\d+) +(?P<extra>.*)", re.DOTALL
)
_SS_OWNER = re.compile(r'\("(?P<name>.*?)",pid=(?P<pid>\d+),fd=(?P<fd>\d+)\)', re.DOTALL)


def ss(space: Namespace, uid: int | None = None) -> list[Row]:
    """Every table that `ss` has and we read, with -e (uid, inode, cookie) and -p (holders)."""
    tables = "tcp,udp,raw,mptcp,unix,packet,netlink"
    done = space.run(["ss", "-H", "-O", "-n", "-a", "-e", "-p", "-A", tables], uid=uid)
    assert done.returncode == 0, done.stderr
    return [_ss_row(record) for record in _SS_LINE.split(done.stdout) if record]


def _ss_row(record: str) -> Row:
    head = _SS_HEAD.fullmatch(record)
    assert head is not None, record
    table = SS_TABLES[head["netid"]]
    parse = {"unix": _ss_unix, "packet": _ss_packet, "netlink": _ss_netlink}.get(table, _ss_inet)
    row = parse(table, head["rest"])
    return row._replace(state=SS_STATES[head["state"]], receive=int(head["receive"]), send=int(head["send"]))


def _ss_inet(table: str, rest: str) -> Row:
    local, remote, *more = rest.split(maxsplit=2)
    extra = more[0] if more else ""
    address, device, port = _ss_endpoint(local)
    family = "inet6" if ":" in address or address == "*" else "inet"
    peer, _, peer_port = _ss_endpoint(remote)
    dual = address == "*"
    only = re.search(r" v6only:([01])", extra)
    fields = dict(re.findall(r" ?\b(uid|ino|sk):([0-9a-f]+)", extra))
    return Row(
        table, family, None,
        ANY[family] if dual else address, port,
        ANY[family] if peer == "*" else peer, peer_port,
        device=device,
        v6only=bool(int(only[1])) if only else None,
        inode=int(fields.get("ino", 0)) if "sk" in fields else None,
        cookie=int(fields["sk"], 16) if "sk" in fields else None,
        uid=int(fields.get("uid", 0)) if "sk" in fields else None,
        **_ss_owners(extra),
    )  # fmt: skip


def _ss_endpoint(text: str) -> tuple[str, str, int]:
    """(address, device, port) of `127.0.0.1%lo:80`, `[fe80::1]%eth0:546`, `*:*`."""
    host, _, port = text.rpartition(":")
    address, _, device = host.partition("%")
    return address.strip("[]"), device, 0 if port == "*" else int(port)


def _ss_owners(extra: str) -> dict[str, frozenset[object]]:
    found = _SS_OWNER.findall(extra)
    return {
        "holders": frozenset((int(pid), int(fd)) for _, pid, fd in found),
        "names": frozenset(name for name, _, _ in found),
    }  # type: ignore[dict-item]


def _ss_unix(table: str, rest: str) -> Row:
    found = _SS_UNIX.fullmatch(rest)
    assert found is not None, rest
    name = found["local"]
    return Row(table, "unix", None, "" if name == "*" else name, 0, None, None,
               inode=int(found["inode"]), **_ss_owners(found["extra"]))  # fmt: skip


def _ss_packet(table: str, rest: str) -> Row:
    local, _, extra = rest.split(maxsplit=2)
    ethertype, _, device = local.rpartition(":")
    number = 3 if ethertype == "*" else int(ethertype.strip("[]"))
    fields = dict(re.findall(r"\b(uid|ino|sk):([0-9a-f]+)", extra))
    return Row(table, "packet", None, None, number, None, None, device="" if device == "*" else device,
               inode=int(fields["ino"]), cookie=int(fields["sk"], 16), uid=int(fields.get("uid", 0)),
               **_ss_owners(extra))  # fmt: skip


def _ss_netlink(table: str, rest: str) -> Row:
    local, _ = rest.split(maxsplit=1)
    number, _, port = local.partition(":")
    return Row(table, "netlink", None, number, int(port), None, None)


# ---- netstat -----------------------------------------------------------------------------------------------------

NETSTAT_STATES = {
    "LISTEN": "listen",
    "ESTABLISHED": "established",
    "SYN_SENT": "syn-sent",
    "SYN_RECV": "syn-recv",
    "FIN_WAIT1": "fin-wait-1",
    "FIN_WAIT2": "fin-wait-2",
    "TIME_WAIT": "time-wait",
    "CLOSE_WAIT": "close-wait",
    "LAST_ACK": "last-ack",
    "CLOSING": "closing",
    "LISTENING": "listen",
    "CONNECTED": "established",
    "CONNECTING": "connecting",
    "": "unconnected",
    "7": "unconnected",
    "1": "established",
}
_NETSTAT_INET = re.compile(
    r"(?P<proto>\w+) +(?P<receive>\d+) +(?P<send>\d+) +(?P<local>\S+) +(?P<remote>\S+) +(?P<state>[A-Z_0-9]*?) +"
    r"(?P<uid>\d+) +(?P<inode>\d+) +(?P<owner>-|\d+/.*?) *"
)
_NETSTAT_UNIX = re.compile(
    r"unix +\d+ +\[[^]]*\] +(?P<type>STREAM|DGRAM|SEQPACKET) +(?P<state>[A-Z]*) +(?P<inode>\d+) +"
    r"(?P<owner>-|\d+/\S*) *(?P<path>.*)"
)


def netstat(space: Namespace, uid: int | None = None, flags: str = "-anpeeW") -> list[Row]:
    """`netstat`: IP and Unix sockets; it names one process of each, without descriptors."""
    done = space.run(["netstat", flags], uid=uid)
    assert done.returncode == 0, done.stderr
    return [
        _netstat_row(line)
        for line in done.stdout.split("\n")
        if line and not line.startswith(("Active ", "Proto "))
    ]


def _netstat_row(line: str) -> Row:
    found = _NETSTAT_UNIX.fullmatch(line)
    if found is not None:
        return Row("unix", "unix", NETSTAT_STATES[found["state"]], found["path"], 0, None, None,
                   inode=int(found["inode"]), holders=_netstat_owner(found["owner"]))  # fmt: skip
    found = _NETSTAT_INET.fullmatch(line)
    assert found is not None, line
    protocol, family = found["proto"].removesuffix("6"), "inet6" if found["proto"].endswith("6") else "inet"
    local, lport = _netstat_endpoint(found["local"])
    remote, rport = _netstat_endpoint(found["remote"])
    return Row(
        "udplite" if protocol == "udpl" else protocol, family, NETSTAT_STATES[found["state"]],
        local, lport, remote, rport,
        inode=int(found["inode"]), uid=int(found["uid"]), receive=int(found["receive"]), send=int(found["send"]),
        holders=_netstat_owner(found["owner"]),
    )  # fmt: skip


def _netstat_endpoint(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address, 0 if port == "*" else int(port)


def _netstat_owner(text: str) -> frozenset[tuple[int, None]]:
    return frozenset() if text == "-" else frozenset({(int(text.partition("/")[0]), None)})


# ---- lsof --------------------------------------------------------------------------------------------------------

LSOF_STATES = {
    "LISTEN": "listen",
    "ESTABLISHED": "established",
    "SYN_SENT": "syn-sent",
    "FIN_WAIT1": "fin-wait-1",
    "FIN_WAIT2": "fin-wait-2",
    "CLOSE_WAIT": "close-wait",
    "LAST_ACK": "last-ack",
    "CLOSING": "closing",
    "CONNECTED": "established",
    "UNCONNECTED": "unconnected",
    None: None,
}
LSOF_FAMILIES = {"IPv4": "inet", "IPv6": "inet6", "unix": "unix"}


def lsof(space: Namespace, uid: int | None = None) -> list[Row]:
    """`lsof -i -U`: one row per inode, its descriptors gathered from the processes."""
    done = space.run(["lsof", "-w", "-nP", "-i", "-U", "-T", "qs", "-F", "pcuftdiGPnT"], uid=uid)
    assert done.returncode in (0, 1), done.stderr
    rows: dict[tuple[object, ...], Row] = {}
    for pid, fields in _lsof_files(done.stdout):
        row = _lsof_row(fields)
        known = rows.setdefault(row, row._replace(holders=frozenset()))
        assert known.holders is not None
        rows[row] = known._replace(holders=known.holders | {(pid, int(fields["f"]))})
    return list(rows.values())


def _lsof_files(output: str) -> Iterator[tuple[int, dict[str, str]]]:
    pid, fields = 0, dict[str, str]()
    for line in output.split("\n"):
        key, value = line[:1], line[1:]
        if key in ("p", "f", "") and "f" in fields:
            yield pid, fields
            fields = {}
        if key == "p":
            pid = int(value)
        elif key == "T":
            name, _, number = value.partition("=")
            fields["T" + name] = number
        elif key:
            fields[key] = value
            if key == "c":
                fields = {}


def _lsof_row(fields: dict[str, str]) -> Row:
    family = LSOF_FAMILIES[fields["t"]]
    state = LSOF_STATES[fields.get("TST")]
    if family == "unix":
        name, _, _ = fields["n"].rpartition("type=")
        return Row("unix", "unix", state, name.rstrip(" "), 0, None, None, inode=int(fields["i"]))
    local, _, remote = fields["n"].partition("->")
    address, port = _lsof_endpoint(local, family)
    peer, peer_port = _lsof_endpoint(remote or "*:*", family)
    return Row(
        fields["P"].lower(), family, state, address, port, peer, peer_port,
        inode=int(fields["d"]), receive=int(fields["TQR"]), send=int(fields["TQS"]),
    )  # fmt: skip


def _lsof_endpoint(text: str, family: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return ANY[family] if address == "*" else address.strip("[]"), 0 if port == "*" else int(port)


# ---- psutil ------------------------------------------------------------------------------------------------------

PSUTIL_STATES = {state.upper().replace("-", "_"): state for state in SS_STATES.values()} | {
    "FIN_WAIT1": "fin-wait-1",
    "FIN_WAIT2": "fin-wait-2",
    "NONE": None,
}


def psutil(space: Namespace, uid: int | None = None, kind: str = "inet") -> list[Row]:
    """`psutil.net_connections`, in a process inside; no inode, one (pid, fd) of each socket."""
    return [_psutil_row(*connection) for connection in space.call(_psutil, kind, uid)]


def _psutil(kind: str, uid: int | None) -> list[tuple[object, ...]]:
    import psutil as peer

    from portside.testing.namespaces import become

    if uid is not None:
        become(uid)  # here and not by `call`: the module may lie where that user cannot read
    return [tuple(connection) for connection in peer.net_connections(kind)]


def _psutil_row(
    fd: int, family: int, kind: int, local: object, remote: object, status: str, pid: int | None
) -> Row:
    holders = frozenset() if pid is None else frozenset({(pid, fd)})
    if family == socket.AF_UNIX:
        return Row("unix", "unix", None, str(local), 0, None, None, holders=holders)
    name = "inet" if family == socket.AF_INET else "inet6"
    address, port = local or (ANY[name], 0)  # type: ignore[misc]
    peer, peer_port = remote or (ANY[name], 0)  # type: ignore[misc]
    protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
    return Row(protocol, name, PSUTIL_STATES[status], address, port, peer, peer_port, holders=holders)
