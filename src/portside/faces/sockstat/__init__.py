"""The sockstat face: FreeBSD's sockstat(1) over the sockets of this host.

`options` reads what was typed, `rows` chooses the sockets and what is told of each, `text` and `xo` draw.  The model
is the newest source: usr.bin/sockstat of FreeBSD's main branch, October 2025 (16-CURRENT), whose columns are sized to
what they hold.  A jail (-j) is the nearest thing Linux has: a network namespace, or a container.
"""

from __future__ import annotations

import sys

from portside.errors import PortsideError
from portside.faces import printable
from portside.faces.bsd import Refused
from portside.faces.sockstat.options import HELP as HELP
from portside.faces.sockstat.options import NO_SUCH_JAIL, USAGE, Options, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.see.reading import Wish
    from portside.see.records import Socket
    from portside.see.snapshot import Snapshot

_CHUNK = 4096  # lines written at once
_FEW_PORTS = 16  # each is a request of its own


def main(words: list[str]) -> int:
    """Run sockstat with these words and return its exit code: 0, or 1 for what it cannot do."""
    if words == ["--help"]:
        print(HELP)
        return 0
    try:
        options = parse(words, _protocol_number)
        return _show(options)
    except Refused as error:
        return error.tell("sockstat", USAGE)
    except PortsideError as error:
        return Refused(str(error)).tell("sockstat", USAGE)


def _protocol_number(name: str) -> int | None:
    """Return the number that /etc/protocols has for a protocol."""
    from portside.system.host import LIVE

    for line in LIVE.read_or("/etc/protocols").splitlines():
        fields = line.partition("#")[0].split()
        if name in fields[:1] + fields[2:] and fields[1].isdecimal():
            return int(fields[1])
    return None


def _show(options: Options) -> int:
    from portside.faces.sockstat.rows import lines
    from portside.see import snapshot as reading

    snapshot = reading.take(_wish(options))
    told = lines(_sockets(snapshot, options.jail), options)
    if options.json:
        from portside.faces.sockstat.xo import document

        print(document(told, options))
    else:
        from portside.faces.sockstat.text import table

        drawn = list(table(told, options))
        for start in range(0, len(drawn), _CHUNK):
            sys.stdout.write("\n".join(drawn[start : start + _CHUNK]) + "\n")
    if options.verbose:
        _tell_roads(snapshot)
    return 0


def _wish(options: Options) -> Wish:
    """Return what must be read: IPv6 also for IPv4, which sockets of both families serve; states that are shown."""
    from portside.see.reading import IP_FAMILIES, OPEN_DATAGRAM, OPEN_STREAM, Wish
    from portside.wire import inet_diag, tcp_states

    def states(listening: int) -> int:
        return (listening if options.listening else 0) | (
            tcp_states.ALL & ~listening if options.connected else 0
        )

    families = (IP_FAMILIES if options.v4 else ("inet6",)) if options.protocols else ()
    ports = options.ports or frozenset()
    few = not options.connected and len(ports) <= _FEW_PORTS and 0 not in ports
    return Wish(
        protocols=options.protocols,
        families=(*families, *(("unix",) if options.unix else ())),
        stream_states=states(OPEN_STREAM),
        datagram_states=states(OPEN_DATAGRAM),
        only_ports=tuple(sorted(ports)) if few else (),
        every_netns=bool(options.jail),
        extensions=inet_diag.extension(inet_diag.INET_DIAG_CONG) if "C" in options.columns else 0,
    )


def _sockets(snapshot: Snapshot, jail: str) -> list[Socket]:
    if not jail:
        return snapshot.sockets
    from portside.faces.sockstat.jail import sockets_in

    found = sockets_in(snapshot, jail)
    if found is None:
        raise Refused(NO_SUCH_JAIL.format(jail))
    return found


def _tell_roads(snapshot: Snapshot) -> None:
    for gap in snapshot.gaps:
        note = f"{gap.what}: {gap.why} ({gap.count})" + (f"; {gap.next_step}" if gap.next_step else "")
        print(f"sockstat: {printable(note)}", file=sys.stderr)
    roads = ", ".join(f"{what} by {road}" for what, road in snapshot.roads.items())
    print(f"sockstat: read {roads or 'nothing'}", file=sys.stderr)
