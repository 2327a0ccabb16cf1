"""Unix sockets: every type and every kind of name (path, abstract, by the kernel, none, hostile)."""

from __future__ import annotations

import os
import socket

from tests.live.cast.actor import Actor, unix_text

UNIX = socket.AF_UNIX
KINDS = {"stream": socket.SOCK_STREAM, "dgram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}


def named(kind: str, name: bytes, listen: int | None = None) -> socket.socket:
    """A Unix socket bound to a path or to an abstract name (first byte NUL)."""
    sock = socket.socket(UNIX, KINDS[kind])
    sock.bind(name)
    if listen is not None:
        sock.listen(listen)
    return sock


def names(actor: Actor) -> None:
    """Listeners under odd names."""
    under = os.fsencode(actor.directory)
    cases = {
        "path": under + b"/plain",
        "path with newline": under + b"/new\nline",
        "path with blanks": under + b"/a  b\tc",
        "path with escape sequence": under + b"/\x1b[31mred",
        "path not UTF-8": under + b"/\xff\xfe\x80",
        "path in UTF-8": under + "/dö-端口".encode(),
        "longest path": under + b"/" + b"l" * (107 - len(under) - 1),
        "relative path": b"relative",
        "abstract": b"\0portside-world",
        "abstract with odd bytes": b"\0\x01odd\n \xff*",
        "abstract with NUL inside": b"\0nul\0inside\0",
        "abstract that looks like a path": b"\0/run/not/a/path",
    }
    for what, name in cases.items():
        actor.note(f"unix stream listen, {what}", named("stream", name, 5), "listen", backlog=(0, 5))
    actor.note("unix stream listen, name by the kernel", named("stream", b"", 5), "listen")
    actor.note("unix stream bound, not listening", named("stream", under + b"/bound"), "unconnected")
    removed = named("stream", under + b"/removed", 5)
    os.unlink(under + b"/removed")
    actor.note("unix stream listen, path removed", removed, "listen", why="the name stays with the socket")


def connected(actor: Actor) -> None:
    """Pairs, connections through a listener, one that waits to be accepted."""
    under = os.fsencode(actor.directory)
    for kind in KINDS:
        for side, sock in zip(("first", "second"), socket.socketpair(UNIX, KINDS[kind]), strict=True):
            actor.note(f"unix {kind} socketpair, {side}", sock, "established")
    for kind in ("stream", "seqpacket"):
        path = under + b"/through-" + kind.encode()
        listener = named(kind, path, 5)
        client = socket.socket(UNIX, KINDS[kind])
        client.connect(path)
        accepted, _ = listener.accept()
        client.send(b"unread")
        waiting = socket.socket(UNIX, KINDS[kind])
        waiting.connect(path)
        actor.note(f"unix {kind} listener", listener, "listen", backlog=(1, 5))
        actor.note(f"unix {kind} client", client, "established")
        actor.note(f"unix {kind} accepted", accepted, "established")
        actor.note(f"unix {kind} client, not accepted", waiting, "established")
        actor.note(
            f"unix {kind} in accept queue", None, "established", family="unix", type=kind, protocol="unix",
            local=(unix_text(path), None), inode=0, gap="accept-queue",
        )  # fmt: skip
    _datagrams(actor, under)


def _datagrams(actor: Actor, under: bytes) -> None:
    server = named("dgram", under + b"/dgram")
    client = socket.socket(UNIX, socket.SOCK_DGRAM)
    client.connect(under + b"/dgram")
    actor.note("unix dgram connected", client, "established")
    actor.note(
        "unix dgram bound, somebody's peer",
        server,
        "established",
        why="connect(2) marks both ends (83301b5367a9)",
    )
    actor.note("unix dgram bound", named("dgram", under + b"/dgram-alone"), "unconnected")
    actor.note("unix dgram, no name", socket.socket(UNIX, socket.SOCK_DGRAM), "unconnected")
    actor.note("unix stream, no name", socket.socket(UNIX, socket.SOCK_STREAM), "unconnected")


ROLES = (names, connected)
