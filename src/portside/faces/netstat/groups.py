"""Multicast groups of the interfaces (`netstat -g`), from /proc/net/igmp and igmp6."""

from __future__ import annotations

import sys

from portside.errors import BadReply, BadRequest
from portside.faces import printable
from portside.faces.netstat.sockets import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.names import Names
    from portside.faces.netstat.options import Options
    from portside.system.host import Host

TITLE = (
    "IPv6/IPv4 Group Memberships",
    "Interface       RefCnt Group",
    "--------------- ------ ---------------------",
)


def lines(options: Options, names: Names, host: Host) -> Iterator[str]:
    """Yield a line for each group of each interface."""
    for wanted, file, parse in ((options.v4, "igmp", _v4), (options.v6, "igmp6", _v6)):
        try:
            yield from parse((read(host, file) or "") if wanted else "", names)
        except (ValueError, OverflowError, BadRequest):
            raise BadReply("read", f"proc/net/{file}", "a line is no group") from None


def _v4(text: str, names: Names) -> Iterator[str]:
    """Read `index  device : count querier` and, indented below, `group users ...`."""
    device = ""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if not line.startswith("\t"):
            device = line.partition("\t")[2].rpartition(":")[0].strip()
        elif len(fields) > 1:
            raw = int(fields[0], 16).to_bytes(4, sys.byteorder)
            yield _line(device, fields[1], names.host(raw))


def _v6(text: str, names: Names) -> Iterator[str]:
    for line in text.splitlines():
        _, device, group, users, *_ = line.split()
        yield _line(device, users, names.host(bytes.fromhex(group)))


def _line(device: str, users: str, group: str) -> str:
    return f"{printable(device):<15} {users:<6} {group}"
