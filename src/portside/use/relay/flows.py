"""How bytes get from one end to another: the kernel moves them where it can, we copy them where it cannot.

| from | to | by |
|---|---|---|
| regular file | socket | sendfile(2); read and sent, once a reader on this host turns out to be slower |
| pipe | socket, file, pipe, /dev/null | splice(2) |
| socket, file | pipe | splice(2) |
| socket | file, /dev/null | splice(2) through a pipe of ours |
| socket | socket | copied; through a pipe of ours once much comes |
| everything else, and what is changed or encrypted on the way | | copied |

Reference: splice(2), sendfile(2), pipe(7).
"""

from __future__ import annotations

from portside.use.relay.copying import Copy
from portside.use.relay.ends import FILE, OTHER, PIPE, SOCKET
from portside.use.relay.splicing import Hop, Piped, Sendfile, Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.relay.ends import End
    from portside.use.relay.flow import Change, Flow


def choose(source: End, sink: End, change: Change | None = None, rest: bytes = b"") -> Flow:
    """Return the quickest flow from one end to another; `rest` is delivered first."""
    if change is not None or not (source.plain and sink.plain):
        return Copy(source, sink, change, rest)
    here, there = source.source_kind, sink.sink_kind
    if here == there == SOCKET and not (source.foreign or sink.foreign):
        return Hop(source, sink, rest)
    if rest:
        return Copy(source, sink, rest=rest)
    if here == FILE and there == SOCKET and not sink.foreign:
        return Sendfile(source, sink)
    ours = not ((here == SOCKET and source.foreign) or (there == SOCKET and sink.foreign))
    if ours and here == PIPE and there in (SOCKET, FILE, PIPE, OTHER):
        return Splice(source, sink)
    if ours and there == PIPE and here in (SOCKET, FILE):
        return Splice(source, sink)
    if ours and here == SOCKET and there in (FILE, OTHER):
        return Piped(source, sink)
    return Copy(source, sink)
