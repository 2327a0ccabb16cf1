"""The library's calls beside psutil's, in one process.

Both return every socket with its owner.  A library that fills its records only when they are
read would look faster than it is: so each is measured twice, the call alone, and the call plus reading address,
port, state and owner of every record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from measure import Result, calls_in_turn


def compare(rounds: int) -> list[Result]:
    """Measure in turn; the names say which is which."""
    try:
        import psutil

        import portside

        theirs, ours = psutil.net_connections, portside.sockets
    except (ImportError, AttributeError) as error:
        return [Result("library", (), failure=str(error))]
    return calls_in_turn(
        {
            "psutil.net_connections()": theirs,
            "portside.sockets()": ours,
            "psutil.net_connections(), every record read": lambda: read_theirs(theirs()),
            "portside.sockets(), every record read": lambda: read_ours(ours()),
        },
        rounds,
    )


def read_theirs(connections: Iterable[Any]) -> int:
    """Read what a program would of each of psutil's records; return how many have an owner."""
    owned = 0
    for one in connections:
        fields = (
            one.laddr and (one.laddr.ip, one.laddr.port),
            one.raddr and (one.raddr.ip, one.raddr.port),
            one.status,
        )
        owned += one.pid is not None and fields is not None
    return owned


def read_ours(sockets: Iterable[Any]) -> int:
    """Read the same of each of ours."""
    owned = 0
    for one in sockets:
        local, remote = one.local, one.remote
        fields = ((local.address, local.port), (remote.address, remote.port), one.state)
        owned += bool([owner.pid for owner in one.owners]) and fields is not None
    return owned
