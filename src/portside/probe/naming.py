"""Names of hosts to their addresses, by the C library: what a program of this host would connect to first."""

from __future__ import annotations

import socket

_FAMILIES = {0: socket.AF_UNSPEC, 4: socket.AF_INET, 16: socket.AF_INET6}


def resolve(name: str, width: int = 0) -> list[bytes]:
    """Return the raw addresses of a name, each once, in the order to try them (RFC 6724); empty if it has none.

    `width` 4 or 16 keeps to that family.  This may wait for a name server.
    """
    try:
        # bytes: for text Python loads what it needs for names beyond ASCII (IDNA)
        asked = name.encode() if name.isascii() else name
        found = socket.getaddrinfo(asked, None, _FAMILIES[width], socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = [(each[0], str(each[4][0]).partition("%")[0]) for each in found]
    return [socket.inet_pton(family, text) for family, text in dict.fromkeys(texts)]
