"""ncat -l -u: one peer, or with -k all who send; standard input and output, or a program for each."""

from __future__ import annotations

from portside.faces.ncat.common import child_relay, dumped, environment, how
from portside.faces.ncat.words import loud
from portside.use.netcat.datagrams import Crowd, DatagramEnd, wait_for_first
from portside.use.netcat.talk import standard_end, talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from portside.faces.ncat.options import Options
    from portside.system.children import Child
    from portside.use.access import Access


def serve(options: Options, bound: list[socket], access: Access) -> int:
    """Serve; returns the exit code."""
    if options.keep and options.command:
        _programs(options, bound, access)
    elif options.keep:
        near = standard_end(reads=not options.receive_only, writes=not options.send_only)
        Crowd(bound, near, access, most=options.most, on_new=lambda peer: _told(options, peer)).run()
    else:
        _one(options, bound, access)
    return 0


def _one(options: Options, bound: list[socket], access: Access) -> None:
    chosen, peer = wait_for_first(bound, access)
    _told(options, peer)
    if options.command:
        child_relay(DatagramEnd(chosen), options)
        return
    with dumped(options) as dump:
        talk(DatagramEnd(chosen), how(options).replace(dump=dump))


def _programs(options: Options, bound: list[socket], access: Access) -> None:
    from portside.system import children
    from portside.use.netcat.programs import Programs

    def start(receiver: socket, peer: Any) -> Child:
        variables = environment(receiver, "UDP", peer)
        return children.start(options.command, shell=options.shell, variables=variables)

    def refused(text: str) -> None:
        if options.verbose:
            loud(f"New connection denied: {text}")

    Programs(
        bound,
        start,
        access,
        most=options.most,
        idle=options.idle,
        on_new=lambda peer: _told(options, peer),
        on_refused=refused,
    ).run()


def _told(options: Options, peer: Any) -> None:
    if options.verbose:
        loud(f"Connection from {peer[0] if isinstance(peer, tuple) else peer or 'a Unix socket'}.")
