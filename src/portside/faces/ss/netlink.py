"""ss -f netlink: netlink sockets.  The local end is a protocol and who has the port id: `rtnl:NetworkManager/712`.

A port id is by custom its process's pid; one that no process has is shown as a number, signed as in ss.  A socket
that joined groups is told twice, by two tables of the kernel.  Reference: misc/ss.c, netlink(7).
"""

from __future__ import annotations

import sys

from portside.faces import printable
from portside.faces.ss import memory
from portside.faces.ss.context import Subject
from portside.faces.ss.extras import signed
from portside.wire import netlink_diag, tcp_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading
    from portside.system.host import Host

    Answer = tuple[tuple[int, ...], dict[str, object]]

_NAMES = "/etc/iproute2/nl_protos"
# include/uapi/linux/netlink.h, with the names that iproute2 gives
_PROTOCOLS = {
    0: "rtnl", 1: "unused", 2: "usersock", 3: "fw", 4: "tcpdiag", 5: "nflog", 6: "xfrm", 7: "selinux",
    8: "iscsi", 9: "audit", 10: "fiblookup", 11: "connector", 12: "nft", 13: "ip6fw", 14: "dec-rt",
    15: "uevent", 16: "genl", 18: "scsi-trans", 19: "ecryptfs", 20: "rdma", 21: "crypto",
}  # fmt: skip
_CONNECTED = 1  # net/netlink/af_netlink.h, NETLINK_CONNECTED
_ANY = -1


def rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the netlink sockets of every protocol."""
    answers = list(netlink_diag.answers(reading.dump(netlink_diag.request(), "netlink sockets")))
    return _lines(answers, options, reading)


def _lines(answers: list[Answer], options: Options, reading: Reading) -> Iterator[Line]:
    names = protocols(options, reading)
    for (_, _, protocol, state, portid, dst_portid, dst_group, _, _), told in answers:
        words = told.get("meminfo")
        used = words if isinstance(words, tuple) else ()
        groups = told.get("groups")
        mask = int.from_bytes(groups[:4], sys.byteorder) if isinstance(groups, bytes) else 0
        more = f"\t{memory.words(used)}" if options.memory and used else "\t" if options.memory else ""
        queues = (
            used[tcp_info.SK_MEMINFO_RMEM_ALLOC] if used else 0,
            used[tcp_info.SK_MEMINFO_WMEM_ALLOC] if len(used) > tcp_info.SK_MEMINFO_WMEM_ALLOC else 0,
        )
        peer = (dst_group, dst_portid) if state == _CONNECTED else None
        made = line((protocol, portid, *queues), peer, (0, 0, mask), names, options, reading)
        if made is not None:
            yield (*made[:-1], made[-1] + more)


def protocols(options: Options, reading: Reading) -> dict[int, str]:
    """Return the names of protocols, those of iproute2's file first; none with -n."""
    return {} if options.numeric else {number: printable(name) for number, name in _named(reading.host)}


def _named(host: Host) -> Iterator[tuple[int, str]]:
    """Yield number and name of each protocol; a later one of the same number counts."""
    yield from _PROTOCOLS.items()
    for entry in host.read_or(_NAMES).splitlines():
        fields = entry.partition("#")[0].split()
        try:
            number = int(fields[0], 0)
        except (ValueError, IndexError):
            continue
        if len(fields) == 2 and 0 <= number < 256:
            yield number, fields[1]


def number_of(name: str, host: Host) -> int | None:
    """Return the number of the protocol of this name."""
    return {known: number for number, known in dict(_named(host)).items()}.get(name)


def line(
    numbers: tuple[int, int, int, int],
    peer: tuple[int, int] | None,
    inside: tuple[int, int, int],
    names: dict[int, str],
    options: Options,
    reading: Reading,
) -> Line | None:
    """Return the line of a netlink socket, None where the filter leaves it out.

    `numbers` are protocol, port id and queues, `peer` is the group and port id that it is connected to, `inside`
    addresses in the kernel (0: not told) and the mask of its groups.
    """
    protocol, portid, receive, send = numbers
    port = signed(portid)
    end = (protocol & 0xFFFFFFFF).to_bytes(4, sys.byteorder)
    if not reading.accepts(Subject(netlink_diag.AF_NETLINK, end, bytes(4), port, _ANY)):
        return None
    return (
        "nl",
        "UNCONN",
        f"{receive:<6}",
        f"{send:<6}",
        names.get(protocol, str(protocol)) + ":",
        _holder(port, options, reading),
        f"{signed(peer[0])}:" if peer else "*",
        str(signed(peer[1])) if peer else "",
        (f" proc_ctx={reading.context(port)}" if options.process_context else "")
        + (" sk={:x} cb={:x} groups=0x{:08x}".format(*inside) if options.details else ""),
    )


def _holder(port: int, options: Options, reading: Reading) -> str:
    if port == _ANY:
        return "*"
    if not options.numeric:
        if port == 0:
            return "kernel"
        name = reading.process(port) if port > 0 else ""
        if name:
            return f"{name}/{port}"
    return str(port)
