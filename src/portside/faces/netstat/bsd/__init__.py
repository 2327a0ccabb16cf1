"""BSD's look of the netstat face (`netstat --bsd`): the options and the text of FreeBSD's and macOS's netstat.

`options` reads what was typed; `sockets` and `unixes` draw the sockets, `interfaces` and `routes` what their names
say, `statistics` the counters of the protocols, as far as Linux counts the same things.
"""

from __future__ import annotations

import sys

from portside.errors import PortsideError
from portside.faces.bsd import Refused
from portside.faces.netstat.bsd.names import Names
from portside.faces.netstat.bsd.options import HELP as HELP
from portside.faces.netstat.bsd.options import USAGE, Options, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def main(words: list[str]) -> int:
    """Run BSD's netstat with these words (`--bsd` left out) and return its exit code: 0, or 1."""
    if words == ["--help"]:
        print(HELP)
        return 0
    try:
        options = parse(words)
        if options.what == "traffic":
            from portside.faces.netstat.bsd.interfaces import traffic
            from portside.system.host import LIVE

            traffic(options, LIVE)
            return 0
        _write(_display(options))
    except Refused as error:
        return error.tell("netstat", USAGE)
    except PortsideError as error:
        return Refused(str(error)).tell("netstat", USAGE)
    return 0


def _display(options: Options) -> Iterator[str]:
    """Return the lines of the display that was asked for."""
    from portside.system.host import LIVE

    names = Names(options, LIVE)
    if options.what == "interfaces":
        from portside.faces.netstat.bsd.interfaces import table

        return table(options, names, LIVE)
    if options.what == "routes":
        from portside.faces.netstat.bsd.routes import tables

        return tables(options, names, LIVE)
    if options.what == "statistics":
        from portside.faces.netstat.bsd.statistics import counters

        return counters(options, LIVE)
    return _sockets(options)


def _sockets(options: Options) -> Iterator[str]:
    """Yield the tables of Internet sockets and of Unix domain sockets."""
    from portside.faces.netstat.bsd import sockets, unixes
    from portside.see import snapshot as reading
    from portside.see.reading import IP_FAMILIES, Wish
    from portside.wire import tcp_states

    internet = options.family in ("", "inet", "inet6")
    unix = options.family in ("", "unix") and not options.protocol
    listening = 0 if options.every or options.queues else 1 << tcp_states.LISTEN
    wish = Wish(
        protocols=sockets.protocols(options) if internet else (),
        families=(*(IP_FAMILIES if internet else ()), *(("unix",) if unix else ())),
        stream_states=tcp_states.ALL & ~listening,
        owners=False,
    )
    snapshot = reading.take(wish)
    found = list(snapshot)
    yield from sockets.table(found, options, Names(options, snapshot.host))
    if unix:
        yield from unixes.table(found, options.queues)


def _write(lines: Iterator[str]) -> None:
    text = "\n".join(lines)
    if text:
        sys.stdout.write(text + "\n")
