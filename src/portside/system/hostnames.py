"""Names of hosts, as the host's resolver tells them: this may ask a name server."""

from __future__ import annotations

import _socket  # see system.netlink
import os


def host_name(address: str) -> str:
    """Return the name of an IP address, empty where it has none or nobody answers."""
    try:
        return _socket.getnameinfo((address, 0), _socket.NI_NAMEREQD)[0]
    except (OSError, UnicodeError):
        return ""


def own_domain() -> str:
    """Return the domain of this host's own name in lower case, empty where it has none."""
    return os.uname().nodename.partition(".")[2].lower()
