"""Names and addresses of hosts, numbers of services, as the C library finds them (nsswitch.conf(5)).

Rule: what is not found is empty.  These may ask a name server, and wait for it.  Names go as bytes: for text Python
would load what it needs for IDNA.
"""

from __future__ import annotations

import _socket  # see system.netlink
import os

from portside.wire.inet_diag import AF_INET as AF_INET
from portside.wire.inet_diag import AF_INET6 as AF_INET6


def addresses(name: str, family: int) -> list[bytes]:
    """Return the addresses of a host in one family, as raw bytes, each once."""
    try:
        found = _socket.getaddrinfo(os.fsencode(name), None, family, _socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = [address[0] for *_, address in found if isinstance(address[0], str)]
    return [_socket.inet_pton(family, text.partition("%")[0]) for text in dict.fromkeys(texts)]


def host_of(raw: bytes) -> str:
    """Return the name of the host with this address (4 or 16 bytes)."""
    family = AF_INET if len(raw) == 4 else AF_INET6
    try:
        return _socket.gethostbyaddr(_socket.inet_ntop(family, raw).encode())[0]  # type: ignore[arg-type]
    except (OSError, UnicodeError):
        return ""


def port_of(service: str, transport: str) -> int | None:
    """Return the port that a service has with `tcp`, `udp` or another transport."""
    try:
        return _socket.getservbyname(service, transport)
    except (OSError, ValueError, UnicodeError):
        return None
