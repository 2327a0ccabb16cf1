"""TCP listeners, TCP connections at rest, UDP and UDP-Lite: each way of being bound and connected."""

from __future__ import annotations

import os
import socket
import struct

from tests.live.cast.actor import IPPROTO_UDPLITE, Actor

V4, V6 = socket.AF_INET, socket.AF_INET6
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
LINK = "left"
LINK_V4, LINK_V6, LINK_LOCAL = "192.0.2.1", "2001:db8::1", "fe80::1"


def bound(
    family: int,
    kind: int,
    address: str,
    port: int,
    protocol: int = 0,
    v6only: bool | None = None,
    device: str = "",
) -> socket.socket:
    """A socket bound to address and port, with its options set first."""
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if v6only is not None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    if device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
    scope = socket.if_nametoindex(LINK) if address.startswith(("fe80:", "ff02:")) else 0
    sock.bind((address, port, 0, scope) if family == V6 else (address, port))
    return sock


def listening(family: int, address: str, port: int, backlog: int = 16, **options: object) -> socket.socket:
    """A TCP listener."""
    sock = bound(family, STREAM, address, port, **options)  # type: ignore[arg-type]
    sock.listen(backlog)
    return sock


def pair(
    family: int, address: str, port: int, to: str = "", room: int = 0
) -> tuple[socket.socket, socket.socket, socket.socket]:
    """(listener, client, accepted) over `address`; the client connects to `to` if that is given.

    `room` is a size for the accepted side's receive buffer, which then does not grow.
    """
    listener = bound(family, STREAM, address, port, v6only=False if to else None)
    if room:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    listener.listen(16)
    client = socket.create_connection((to or address, port), timeout=2)
    client.settimeout(None)
    accepted, _ = listener.accept()
    return listener, client, accepted


def listeners(actor: Actor) -> None:
    """Every address a TCP listener can have, and TCP sockets that are bound and do not listen."""

    def listen(what: str, family: int, address: str, port: int, **facts: object) -> None:
        options = {name: facts.pop(name) for name in ("v6only", "device") if name in facts}
        sock = listening(family, address, port, **options)
        only = bool(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)) if family == V6 else None
        device = str(options.get("device", LINK if address == LINK_LOCAL else ""))
        actor.note(what, sock, "listen", backlog=(0, 16), v6only=only, device=device, **facts)

    listen("tcp listen, any v4", V4, "0.0.0.0", 21001)
    listen("tcp listen, loopback v4", V4, "127.0.0.1", 21002)
    listen("tcp listen, any v6 dual-stack", V6, "::", 21003, v6only=False)
    listen("tcp listen, any v6 only", V6, "::", 21004, v6only=True)
    listen("tcp listen, loopback v6", V6, "::1", 21005)
    listen("tcp listen, one address v4", V4, LINK_V4, 21006)
    listen("tcp listen, one address v6", V6, LINK_V6, 21007)
    listen("tcp listen, link-local", V6, LINK_LOCAL, 21008)
    listen("tcp listen, second half of 127/8", V4, "127.9.8.7", 21009)
    listen("tcp listen, both families: v4", V4, "0.0.0.0", 21010)
    listen("tcp listen, both families: v6", V6, "::", 21010, v6only=True)
    listen("tcp listen, v4-mapped", V6, "::ffff:127.0.0.1", 21011, v6only=False)
    listen("tcp listen, bound to device", V4, "0.0.0.0", 21012, device=LINK)
    listen("tcp listen v6, bound to device", V6, "::", 21017, device=LINK)
    actor.note("tcp bound, not listening", bound(V4, STREAM, "127.0.0.1", 21013), "bound-inactive")
    actor.note("tcp bound, not listening, any v4", bound(V4, STREAM, "0.0.0.0", 21014), "bound-inactive")
    actor.note(
        "tcp bound, not listening, any v6", bound(V6, STREAM, "::", 21015, v6only=False), "bound-inactive"
    )
    actor.note(
        "tcp bound, not listening, link-local",
        bound(V6, STREAM, LINK_LOCAL, 21016),
        "bound-inactive",
        device=LINK,
    )
    unbound = socket.socket(V4, STREAM)
    actor.note(
        "tcp neither bound nor connected", unbound, "close", visible=False, why="in no table of the kernel"
    )


def connections(actor: Actor) -> None:
    """TCP connections at rest: v4, v6, v4-mapped, over a link, with unread bytes, with keepalive."""
    cases = [
        ("v4", V4, "127.0.0.1", 21101, ""),
        ("v6", V6, "::1", 21102, ""),
        ("v4-mapped", V6, "::", 21103, "127.0.0.1"),
        ("over one address", V4, LINK_V4, 21104, ""),
        ("over one v6 address", V6, LINK_V6, 21105, ""),
    ]
    for name, family, address, port, to in cases:
        listener, client, accepted = pair(family, address, port, to)
        actor.note(f"tcp connection {name}: listener", listener, "listen", backlog=(0, 16))
        actor.note(f"tcp connection {name}: client", client, "established", queues=(0, 0), device="")
        actor.note(f"tcp connection {name}: accepted", accepted, "established", queues=(0, 0), device="")
    listener, client, accepted = pair(V4, "127.0.0.1", 21106)
    client.send(b"hello")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    actor.note("tcp unread bytes: listener", listener, "listen")
    actor.note("tcp unread bytes: sender, keepalive", client, "established", queues=(0, 0))
    actor.note("tcp unread bytes: reader", accepted, "established", queues=(5, 0))
    link_local(actor)


def link_local(actor: Actor) -> None:
    """A connection between link-local addresses: the device belongs to the address."""
    listener = listening(V6, LINK_LOCAL, 21107)
    client = socket.socket(V6, STREAM)
    client.connect((LINK_LOCAL, 21107, 0, socket.if_nametoindex(LINK)))
    accepted, _ = listener.accept()
    actor.note("tcp link-local: listener", listener, "listen", device=LINK)
    actor.note("tcp link-local: client", client, "established", device=LINK)
    actor.note("tcp link-local: accepted", accepted, "established", device=LINK)


def datagrams(actor: Actor) -> None:
    """UDP: bound or not to a peer, multicast, to a device, with an unread datagram."""
    _datagrams(actor, "udp", 0, 22000)
    group = bound(V4, DGRAM, "239.1.2.3", 22050)
    member = socket.inet_aton("239.1.2.3") + struct.pack(
        "@4si", socket.inet_aton("0.0.0.0"), socket.if_nametoindex(LINK)
    )
    group.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    actor.note("udp multicast v4", group, "unconnected")
    index = socket.if_nametoindex(LINK)
    group6 = bound(V6, DGRAM, "ff02::1234", 22051)
    group6.setsockopt(
        socket.IPPROTO_IPV6,
        socket.IPV6_JOIN_GROUP,
        socket.inet_pton(V6, "ff02::1234") + struct.pack("@i", index),
    )
    actor.note("udp multicast v6", group6, "unconnected", device=LINK)
    actor.note("udp link-local", bound(V6, DGRAM, LINK_LOCAL, 22052), "unconnected", device=LINK)
    actor.note(
        "udp bound to device", bound(V4, DGRAM, "0.0.0.0", 22053, device=LINK), "unconnected", device=LINK
    )
    reader = bound(V4, DGRAM, "127.0.0.1", 22054)
    with socket.socket(V4, DGRAM) as sender:
        sender.sendto(b"unread", ("127.0.0.1", 22054))
    actor.note("udp unread datagram", reader, "unconnected", why="its receive queue counts memory, not bytes")
    mapped = bound(V6, DGRAM, "::", 22055, v6only=False)
    mapped.connect(("::ffff:127.0.0.1", 22054))
    actor.note("udp v4-mapped, connected", mapped, "established")
    port = reader.getsockname()[1] + 2
    for number in (1, 2):
        worker = socket.socket(V4, DGRAM)
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", port))
        actor.note(f"udp reuseport {number} of 2", worker, "unconnected")


def lite(actor: Actor) -> None:
    """The same for UDP-Lite (RFC 3828)."""
    actor.attempt("udplite", _datagrams, "udplite", IPPROTO_UDPLITE, 22500)


def _datagrams(actor: Actor, name: str, protocol: int, port: int) -> None:
    def make(family: int, address: str, offset: int, v6only: bool | None = None) -> socket.socket:
        return bound(family, DGRAM, address, port + offset, protocol, v6only)

    actor.note(f"{name} any v4", make(V4, "0.0.0.0", 1), "unconnected", device="")
    actor.note(f"{name} loopback v4", make(V4, "127.0.0.1", 2), "unconnected")
    actor.note(f"{name} any v6 dual-stack", make(V6, "::", 3, v6only=False), "unconnected")
    actor.note(f"{name} any v6 only", make(V6, "::", 4, v6only=True), "unconnected")
    actor.note(f"{name} loopback v6", make(V6, "::1", 5), "unconnected")
    connected = make(V4, "0.0.0.0", 6)
    connected.connect(("127.0.0.1", port + 2))
    actor.note(f"{name} bound, then connected", connected, "established")
    client = socket.socket(V4, DGRAM, protocol)
    client.connect(("127.0.0.1", port + 2))
    actor.note(f"{name} connected, port by the kernel", client, "established")
    client6 = socket.socket(V6, DGRAM, protocol)
    client6.connect(("::1", port + 5))
    actor.note(f"{name} v6 connected", client6, "established")
    sender = socket.socket(V4, DGRAM, protocol)
    sender.sendto(b"", ("127.0.0.1", port + 1))
    actor.note(
        f"{name} sent, port by the kernel", sender, "unconnected", why="a client, and open by our definition"
    )


def many_descriptors(actor: Actor) -> None:
    """One socket under several numbers of one process, one of them large."""
    import fcntl

    from tests.live.cast.actor import outer_pid

    sock = listening(V4, "127.0.0.1", 21200)
    again = os.dup(sock.fileno())
    high = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 700)
    held = frozenset((outer_pid(), number) for number in (sock.fileno(), again, high))
    actor.note("tcp listen, three descriptors in one process", sock, "listen", holders=held)


ROLES = (listeners, connections, datagrams, lite, many_descriptors)
