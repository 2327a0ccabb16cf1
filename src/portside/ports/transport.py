"""Transport protocols that have ports, under the names the kernel, IANA and services(5) give them.

UDP-Lite has UDP's port numbers (RFC 3828, 6), MPTCP has TCP's (RFC 8684): a service of one is a service of the other.
"""

from __future__ import annotations

TRANSPORTS = ("tcp", "udp", "udplite", "sctp", "dccp", "mptcp")

# Whose services answer for a transport, best first; an empty word stands for a record that names no transport.
_ANSWERED_BY = {
    "": ("tcp", "udp", "sctp", "dccp", ""),
    "tcp": ("tcp", ""),
    "udp": ("udp", ""),
    "udplite": ("udplite", "udp", ""),
    "sctp": ("sctp", ""),
    "dccp": ("dccp", ""),
    "mptcp": ("mptcp", "tcp", ""),
}


def answered_by(transport: str) -> tuple[str, ...]:
    """Return the transports whose services are those of `transport`; of all of them if it is empty."""
    return _ANSWERED_BY.get(transport) or (transport,)


def split_transport(text: str) -> tuple[str, str]:
    """Return (item, transport) of `53/udp`; the transport is empty where none follows, as in `cl/1`."""
    item, slash, last = text.rpartition("/")
    transport = last.strip().lower()
    return (item.rstrip(), transport) if slash and transport in TRANSPORTS else (text, "")
