"""The table of Unix domain sockets as netstat draws it, from /proc/net/unix; a path is shown whole and escaped."""

from __future__ import annotations

from portside.faces import printable
from portside.faces.netstat.sockets import which
from portside.wire import procnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.netstat.options import Options
    from portside.faces.netstat.sockets import Line
    from portside.wire.procnet import UnixEntry

_TYPES = {1: "STREAM", 2: "DGRAM", 3: "RAW", 4: "RDM", 5: "SEQPACKET"}
_UNCONNECTED = 1  # include/uapi/linux/net.h, socket_state
_STATES = {0: "FREE", 2: "CONNECTING", 3: "CONNECTED", 4: "DISCONNECTING"}
_WAITS, _NO_SPACE = 1 << 17, 1 << 18


def title(options: Options) -> Iterator[str]:
    """Yield the two lines above the table."""
    from portside.faces.netstat.programs import BANNER

    yield f"Active UNIX domain sockets {which(options)}"
    line = "Proto RefCnt Flags       Type       State         I-Node  "
    yield line + (BANNER if options.programs else "") + " Path"


def lines(text: str, options: Options) -> Iterator[Line]:
    """Yield the lines of /proc/net/unix that were asked for."""
    for entry in procnet.unix_entries(text):
        listening = entry.state == _UNCONNECTED and bool(entry.flags & procnet.SO_ACCEPTCON)
        if options.every or listening is options.listening:
            yield _head(entry), entry.inode, f" {printable(entry.path)}"


def _head(entry: UnixEntry) -> str:
    flags = "".join(
        letter
        for bit, letter in ((procnet.SO_ACCEPTCON, "ACC "), (_WAITS, "W "), (_NO_SPACE, "N "))
        if entry.flags & bit
    )
    kind = _TYPES.get(entry.type, "UNKNOWN")
    return (
        f"{'??' if entry.protocol else 'unix':<5} {entry.references:<6} {f'[ {flags}]':<11} {kind:<10} "
        f"{_state(entry):<13} {entry.inode:<8}"
    )


def _state(entry: UnixEntry) -> str:
    if entry.state == _UNCONNECTED:
        return "LISTENING" if entry.flags & procnet.SO_ACCEPTCON else ""
    return _STATES.get(entry.state, "UNKNOWN")
