"""SCTP's endpoints and associations, one line for each address, from /proc/net/sctp (net/sctp/proc.c).

ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS
ASSOC SOCK STY SST ST HBKT ASSOC-ID TX_QUEUE RX_QUEUE UID INODE LPORT RPORT LADDRS <-> RADDRS ...
"""

from __future__ import annotations

from itertools import zip_longest

from portside.errors import BadReply, BadRequest
from portside.faces.netstat.sockets import _TCP_STATES, Missing, owner_columns, read
from portside.ports.address import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.names import Names
    from portside.faces.netstat.options import Options
    from portside.faces.netstat.sockets import Line
    from portside.system.host import Host

_CONTINUED = f"\n{'':<20}"


def lines(options: Options, names: Names, host: Host) -> Iterator[Line]:
    """Yield the endpoints that -l or -a asks for, then the associations; raises Missing."""
    for wanted, file, draw in (
        (options.every or options.listening, "sctp/eps", _endpoint),
        (options.every or not options.listening, "sctp/assocs", _association),
    ):
        if not wanted:
            continue
        text = read(host, file)
        if text is None:
            raise Missing("AF INET (sctp)")
        for line in text.splitlines()[1:]:
            try:
                yield draw(line, options, names)
            except (ValueError, IndexError, BadRequest):
                raise BadReply("read", f"proc/net/{file}", f"not an entry: {line[:60]!r}") from None


def _endpoint(line: str, options: Options, names: Names) -> Line:
    fields = line.split()
    state, port, uid, inode = (int(fields[place]) for place in (3, 5, 6, 7))
    parts: list[str] = []
    for address in fields[8:]:
        start = _CONTINUED if parts else f"{'sctp':<20}"
        end = f"{_host(address, names)}:{port or '*'}"
        parts.append(f"{start}{end:<47} {'' if parts else _state(state):<11}")
    return "".join(parts) + _owner(uid, inode, options, names), inode, " " if options.timers else ""


def _association(line: str, options: Options, names: Names) -> Line:
    fields = line.split()
    state, send, receive, uid, inode, lport, rport = (
        int(fields[place]) for place in (3, 7, 8, 9, 10, 11, 12)
    )
    arrow = fields.index("<->")
    ours, theirs = fields[13:arrow], [one for one in fields[arrow + 1 :] if ":" in one or "." in one]
    parts: list[str] = []
    for local, remote in zip_longest(ours, theirs):
        ports = ("", "") if parts else (f":{lport or '*'}", f":{rport or '*'}")
        cells = [
            f"{_host(address, names)}{port}" if address else ""
            for address, port in zip((local, remote), ports, strict=True)
        ]
        start = _CONTINUED if parts else f"sctp  {receive:>6} {send:>6} "
        parts.append(f"{start}{cells[0]:<23} {cells[1]:<23} {'' if parts else _state(state):<11}")
    return "".join(parts) + _owner(uid, inode, options, names), inode, " " if options.timers else ""


def _host(address: str, names: Names) -> str:
    return names.host(parse_address(address.lstrip("*")))


def _state(state: int) -> str:
    return _TCP_STATES[state] if 0 <= state < len(_TCP_STATES) else f"UNKNOWN({state})"


def _owner(uid: int, inode: int, options: Options, names: Names) -> str:
    return owner_columns(uid, inode, names) if options.extend else ""
