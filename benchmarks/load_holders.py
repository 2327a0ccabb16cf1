"""The processes that hold the load's sockets.  Run by `load.py` inside its namespace, as a script of its own.

    load_holders.py CONNECTIONS PROCESSES FILLERS

Each process listens on an address and a port of its own (so that no four-tuple space runs out), connects to itself,
accepts, and keeps both ends: one connection is two sockets in one process.  FILLERS more descriptors per process
lead to /dev/null.  The first process also listens on QUIET_PORT, which has no connections.  `ready` on stdout says
that all is in place; the end of stdin, which all share, ends them all, however the reader's end came about.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import sys

QUIET_PORT = 7000
FIRST_PORT = 8000
BACKLOG = 128
SPARE = 64  # descriptors of the interpreter itself


def main(connections: int, processes: int, fillers: int) -> None:
    """Start the holders, say `ready` when each has said so, wait for the end of stdin and of them all."""
    limit_descriptors(2 * -(-connections // max(processes, 1)) + fillers + SPARE)
    quiet = listen("127.0.0.1", QUIET_PORT)
    said, say = os.pipe()
    for number in range(processes):
        share = connections // processes + (number < connections % processes)
        if os.fork() == 0:
            quiet.close()
            hold(number, share, fillers, say)
            os._exit(0)
    os.close(say)
    answers = b""
    while chunk := os.read(said, 65536):
        answers += chunk
        if len(answers) == processes:
            break
    if len(answers) < processes:
        sys.exit("build load: a holder ended early")
    os.write(1, b"ready\n")
    wait_for_end()
    for _ in range(processes):
        os.wait()


def hold(number: int, connections: int, fillers: int, say: int) -> None:
    """Open this process's share and keep it until the end of stdin."""
    listener = listen(f"127.1.{number // 250}.{number % 250 + 1}", FIRST_PORT + number)
    kept = [end.detach() for _ in range(connections) for end in pair(listener)]
    null = os.open(os.devnull, os.O_RDONLY)
    kept += [os.dup(null) for _ in range(fillers)]
    os.write(say, b".")
    os.close(say)
    wait_for_end()


def listen(address: str, port: int) -> socket.socket:
    """Return a listener on the address and port."""
    listener = socket.socket()
    listener.bind((address, port))
    listener.listen(BACKLOG)
    return listener


def pair(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a new connection; closing the first resets it, so that no TIME_WAIT stays behind."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.connect(listener.getsockname())
    return client, listener.accept()[0]


def limit_descriptors(wanted: int) -> None:
    """Raise the soft limit of open descriptors to `wanted`, or end with a message where the hard one is lower."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and wanted > hard:
        sys.exit(
            f"build load: {wanted} descriptors per process, the hard limit is {hard}; use more processes"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, 1024) if hard < 0 else hard, hard))


def wait_for_end() -> None:
    """Wait until stdin ends."""
    while os.read(0, 1):
        pass


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
