"""What is registered with this host's port mapper: rpcbind(8).

Rule: no port mapper is an empty answer, and so is one that does not answer in time or not as it should.
"""

from __future__ import annotations

import _socket  # see system.netlink
import time

from portside.errors import BadReply
from portside.wire import portmap

PROGRAMS = "/etc/rpc"
TIMEOUT = 5.0
_LONGEST = 1 << 20


def registered(host: str = "127.0.0.1", port: int = portmap.PORT) -> list[tuple[int, int, str]]:
    """Return (transport's number, port, program's name or number) of each entry."""
    reply = _ask(host, port)
    if reply is None:
        return []
    names = portmap.program_names(_read())
    try:
        found = [*portmap.entries(reply)]
    except BadReply:
        return []
    return [(protocol, where, names.get(program) or str(program)) for program, _, protocol, where in found]


def _ask(host: str, port: int) -> bytes | None:
    deadline = time.monotonic() + TIMEOUT
    link = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        link.settimeout(TIMEOUT)
        link.connect((host, port))
        link.send(portmap.dump_request())
        data = b""
        while len(data) < _LONGEST and time.monotonic() < deadline:
            chunk = link.recv(1 << 16)
            data += chunk
            reply = portmap.whole(data)
            if reply is not None or not chunk:
                return reply
    except OSError:
        return None
    finally:
        link.close()
    return None


def _read() -> str:
    try:
        with open(PROGRAMS, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
