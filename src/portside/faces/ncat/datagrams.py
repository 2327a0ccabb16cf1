"""ncat -l -u: one peer, or with -k all who send; standard input and output, or a program for the peer."""

from __future__ import annotations

from portside.faces.ncat.common import child_relay, dumped, how
from portside.faces.ncat.words import loud
from portside.use.netcat.datagrams import Crowd, DatagramEnd, bound_again, wait_for_first
from portside.use.netcat.talk import standard_end, talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from portside.faces.ncat.options import Options
    from portside.use.access import Access


def serve(options: Options, bound: list[socket], access: Access) -> int:
    """Serve; returns the exit code."""
    if options.keep and not options.command:
        near = standard_end(reads=not options.receive_only, writes=not options.send_only)
        Crowd(bound, near, access, most=options.most, on_new=lambda peer: _told(options, peer)).run()
        return 0
    while True:
        chosen, peer = wait_for_first(bound, access)
        _told(options, peer)
        end = DatagramEnd(chosen.dup())
        if options.command:
            child_relay(end, options)
        else:
            with dumped(options) as dump:
                talk(end, how(options).replace(dump=dump))
        if not options.keep:
            return 0
        bound[bound.index(chosen)] = bound_again(chosen)


def _told(options: Options, peer: Any) -> None:
    if options.verbose:
        loud(f"Connection from {peer[0] if isinstance(peer, tuple) else peer or 'a Unix socket'}.")
