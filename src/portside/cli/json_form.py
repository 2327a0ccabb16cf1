"""Records as the JSON that scripts rely on: field names are promises, fields are only ever added."""

from __future__ import annotations

from portside.cli.output import iso_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.see.ports import OpenPort
    from portside.see.reach import Reach
    from portside.see.records import Backlog, Container, Endpoint, Owner, Process, Socket, Timer
    from portside.see.who import Peer, Report

    Item = dict[str, Any]


def port(row: OpenPort) -> Item:
    """An item of `kind: ports`."""
    return {
        "protocol": row.protocol,
        "port": row.port,
        "service": row.service or None,
        "addresses": [bound(local) for local in row.addresses],
        "state": row.state,
        "backlog": backlog(row.backlog),
        "owners": [process(holder.process) | {"fds": list(holder.fds)} for holder in row.holders],
        "reach": reach(row.reach),
        **whose(row),
        "since": moment(row.started),
        "mptcp": row.mptcp,
        "sockets": [
            {"inode": one.inode, "cookie": one.cookie, "local": endpoint(one.local)} for one in row.sockets
        ],
    }


def socket(one: Socket) -> Item:
    """An item of `kind: sockets`."""
    return {
        "protocol": one.protocol,
        "family": one.family,
        "type": one.type,
        "state": one.state,
        "local": endpoint(one.local),
        "remote": endpoint(one.remote),
        "queues": {"receive": one.queues.receive, "send": one.queues.send},
        "backlog": backlog(one.backlog),
        "inode": one.inode,
        "cookie": one.cookie,
        "cgroup": one.cgroup or None,
        "timer": timer(one.timer),
        "owners": owners(one.owners),
        **whose(one),
        "attributes": {name: plain(value) for name, value in one.attributes},
    }


def whose(one: OpenPort | Socket) -> Item:
    """What ports and sockets alike tell beside their owners."""
    return {
        "owner_gap": one.owner_gap or None,
        "netns": one.netns,
        "uid": one.uid,
        "user": one.user or None,
        "unit": one.unit or None,
        "container": container(one.container),
        "socket_unit": one.socket_unit or None,
        "kernel": one.kernel or None,
    }


def owners(held: tuple[Owner, ...]) -> list[Item]:
    """The holders of one socket, each process once with its descriptors."""
    found: dict[int, Item] = {}
    for owner in held:
        item = found.setdefault(owner.pid, process(owner.process) | {"fds": []})
        item["fds"].append(owner.fd)
    return list(found.values())


def process(one: Process) -> Item:
    """One process: what could not be read is null."""
    return {
        "pid": one.pid,
        "name": one.name,
        "user": one.user or None,
        "uid": one.uid,
        "exe": one.exe or None,
        "cmdline": list(one.cmdline) or None,
        "started": moment(one.started),
        "parent": one.parent,
        "unit": one.unit or None,
        "container": container(one.container),
    }


def report(found: Report) -> Item:
    """The one item of `kind: who`."""
    return {
        "port": found.port,
        "ports": [port(row) for row in found.ports],
        "ancestry": {str(pid): [process(one) for one in chain] for pid, chain in found.ancestry},
        "connections": found.connections,
        "peers": [peer(one) for one in found.peers],
    }


def peer(one: Peer) -> Item:
    """The connections of a port with one remote address."""
    return {
        "address": one.address,
        "scope": one.scope,
        "count": one.count,
        "states": dict(one.states),
        "owners": [process(holder) for holder in one.processes],
    }


def bound(local: Endpoint) -> Item:
    """One address a port is bound to."""
    return {
        "address": local.address,
        "scope": local.scope,
        "device": local.device or None,
        "v6only": local.v6only,
    }


def endpoint(end: Endpoint) -> Item:
    """One end of a socket."""
    return {
        "address": end.address,
        "port": end.port,
        "scope": end.scope or None,
        "device": end.device or None,
    }


def backlog(one: Backlog | None) -> Item | None:
    """A listener's accept queue."""
    return None if one is None else {"used": one.used, "limit": one.limit}


def container(one: Container | None) -> Item | None:
    """The container of a process or socket."""
    return (
        None
        if one is None
        else {"engine": one.engine, "id": one.id, "name": one.name or None, "pod": one.pod or None}
    )


def timer(one: Timer | None) -> Item | None:
    """A running TCP timer; `expires` in seconds."""
    return None if one is None else {"name": one.name, "expires": one.expires, "retransmits": one.retransmits}


def reach(one: Reach) -> Item:
    """Who can reach a port."""
    return {"verdict": one.verdict, "from": one.source, "because": one.because}


def moment(seconds: float | None) -> str | None:
    """A moment as ISO 8601 in UTC, or null."""
    return None if seconds is None else iso_time(seconds)


def plain(value: object) -> object:
    """A value JSON can say: bytes become hexadecimal digits, tuples lists."""
    if isinstance(value, bytes):
        return value.hex()
    return [plain(one) for one in value] if isinstance(value, tuple) else value
