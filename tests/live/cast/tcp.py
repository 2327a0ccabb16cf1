"""TCP in every state of its diagram (RFC 9293, figure 5), held or orphaned, on the client's and on the server's side.

`192.0.2.97` to `.99` have a permanent neighbour entry that leads to nobody: packets to them vanish silently, and the
namespace's own raw socket can speak in their name.
"""

from __future__ import annotations

import socket
import struct
import time

from tests.live.cast.actor import Actor, Missing, plain
from tests.live.cast.inet import LINK_V4, V4, listening, pair

GHOST, SILENT, SPOOFED = "192.0.2.97", "192.0.2.99", "192.0.2.98"
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETH_P_IP = 0x0800
TCP_DEFER_ACCEPT = 9


def half_open(actor: Actor) -> None:
    """SYN_SENT towards silence, and SYN_RECV from a client that never answers."""
    client = socket.socket(V4, socket.SOCK_STREAM)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 20)
    client.setblocking(False)
    client.connect_ex((SILENT, 443))
    actor.note("tcp syn-sent", client, "syn-sent", remote=(SILENT, 443))
    listener = listening(V4, LINK_V4, 23001)
    actor.note("tcp syn-recv: listener", listener, "listen")
    actor.attempt("tcp syn-recv", spoofed_syn)
    deferred(actor)


def spoofed_syn(actor: Actor) -> None:
    """A SYN in another's name: the answer vanishes, the request waits in the listener's queue."""
    with raw_sender() as sender:
        sender.sendto(segment(SPOOFED, 40000, LINK_V4, 23001, SYN, 1, 0), (LINK_V4, 0))
    shadow(actor, "tcp syn-recv", "syn-recv", (LINK_V4, 23001), (SPOOFED, 40000), "syn-queue")


def deferred(actor: Actor) -> None:
    """A listener that waits for data: the client is connected, the server's half is still a request."""
    listener = listening(V4, "127.0.0.1", 23002)
    listener.setsockopt(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 120)
    client = socket.create_connection(("127.0.0.1", 23002), timeout=2)
    actor.note("tcp deferred accept: listener", listener, "listen", backlog=(0, 16))
    actor.note("tcp deferred accept: client", client, "established")
    shadow(actor, "tcp deferred accept: request", "syn-recv", *ends(client), "syn-queue")


def accept_queue(actor: Actor) -> None:
    """Connections that no program has accepted yet; a queue that is full, and a client who waits outside."""
    listener = listening(V4, "127.0.0.1", 23101, backlog=8)
    client = socket.create_connection(("127.0.0.1", 23101), timeout=2)
    client.send(b"knock")
    time.sleep(0.005)
    actor.note("tcp accept queue: listener", listener, "listen", backlog=(1, 8))
    actor.note("tcp accept queue: client", client, "established")
    shadow(actor, "tcp accept queue: waiting", "established", *ends(client), "accept-queue", queues=(5, 0))
    full = listening(V4, "127.0.0.1", 23102, backlog=0)
    inside = socket.create_connection(("127.0.0.1", 23102), timeout=2)
    outside = socket.socket(V4, socket.SOCK_STREAM)
    outside.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 20)
    outside.setblocking(False)
    outside.connect_ex(("127.0.0.1", 23102))
    actor.note("tcp full backlog: listener", full, "listen", backlog=(1, 0))
    actor.note("tcp full backlog: client inside", inside, "established")
    shadow(actor, "tcp full backlog: waiting", "established", *ends(inside), "accept-queue")
    actor.note("tcp full backlog: client outside", outside, "syn-sent", remote=("127.0.0.1", 23102))


def closing_down(actor: Actor) -> None:
    """Connections on their way out, still held by both sides or by one, and the shadows of those that are gone."""
    _, early, late = pair(V4, "127.0.0.1", 23201)
    early.shutdown(socket.SHUT_WR)
    actor.note("tcp half closed: first", early, "fin-wait-2")
    actor.note("tcp half closed: second", late, "close-wait")
    _, gone, left = pair(V4, "127.0.0.1", 23202)
    local, remote = plain(gone.getsockname()), plain(gone.getpeername())
    gone.close()
    actor.note("tcp peer closed", left, "close-wait")
    shadow(actor, "tcp fin-wait-2 without owner", "fin-wait-2", local, remote, "orphan|time-wait")
    _, first, second = pair(V4, "127.0.0.1", 23203)
    local, remote = plain(first.getsockname()), plain(first.getpeername())
    first.close()
    second.close()
    shadow(actor, "tcp time-wait", "time-wait", local, remote, "time-wait")


def unsent(actor: Actor) -> None:
    """Closed or shut with data that the peer does not take: FIN_WAIT_1 and LAST_ACK, held and orphaned."""
    _, held, reader = pair(V4, "127.0.0.1", 23301, room=8192)
    fill(held)
    held.shutdown(socket.SHUT_WR)
    actor.note("tcp fin-wait-1, held", held, "fin-wait-1")
    actor.note("tcp fin-wait-1, held: reader", reader, "established")
    _, gone, reader = pair(V4, "127.0.0.1", 23302, room=8192)
    local, remote = plain(gone.getsockname()), plain(gone.getpeername())
    fill(gone)
    gone.close()
    actor.note("tcp fin-wait-1 orphan: reader", reader, "established")
    shadow(actor, "tcp fin-wait-1 orphan", "fin-wait-1", local, remote, "orphan")
    _, gone, reader = pair(V4, "127.0.0.1", 23303, room=8192)
    local, remote = plain(gone.getsockname()), plain(gone.getpeername())
    fill(gone)
    reader.shutdown(socket.SHUT_WR)
    time.sleep(0.005)
    gone.close()
    actor.note("tcp last-ack orphan: reader", reader, "fin-wait-2")
    shadow(actor, "tcp last-ack orphan", "last-ack", local, remote, "orphan")
    _, gone, reader = pair(V4, "127.0.0.1", 23304, room=8192)
    fill(gone)
    gone.setblocking(True)
    reader.shutdown(socket.SHUT_WR)
    time.sleep(0.005)
    gone.shutdown(socket.SHUT_WR)
    actor.note("tcp last-ack, held", gone, "last-ack")
    actor.note("tcp last-ack, held: reader", reader, "fin-wait-2")


def simultaneous_close(actor: Actor) -> None:
    """CLOSING: both sides send FIN before either sees the other's.  The other side is a ghost made of raw packets."""
    actor.attempt("tcp closing", _simultaneous_close)


def _simultaneous_close(actor: Actor) -> None:
    listener = listening(V4, LINK_V4, 23401)
    with (
        raw_sender() as sender,
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)) as wire,
    ):
        wire.bind(("right", ETH_P_IP))
        wire.settimeout(1)
        sender.sendto(segment(GHOST, 40001, LINK_V4, 23401, SYN, 1000, 0), (LINK_V4, 0))
        theirs = heard(wire, SYN | ACK)
        sender.sendto(segment(GHOST, 40001, LINK_V4, 23401, ACK, 1001, theirs + 1), (LINK_V4, 0))
        accepted, _ = listener.accept()
        accepted.shutdown(socket.SHUT_WR)
        sender.sendto(segment(GHOST, 40001, LINK_V4, 23401, FIN | ACK, 1001, theirs + 1), (LINK_V4, 0))
    actor.note("tcp closing: listener", listener, "listen")
    actor.note("tcp closing", accepted, "closing", remote=(GHOST, 40001))


def shadow(
    actor: Actor,
    what: str,
    state: str,
    local: tuple[str, int],
    remote: tuple[str, int],
    gap: str,
    **facts: object,
) -> None:
    """Note a TCP socket that nobody has a descriptor of."""
    actor.note(
        what,
        None,
        state,
        family="inet",
        type="stream",
        protocol="tcp",
        local=local,
        remote=remote,
        inode=0,
        gap=gap,
        **facts,
    )


def ends(client: socket.socket) -> tuple[tuple[str, int], tuple[str, int]]:
    """(local, remote) as the other side of `client` has them."""
    return plain(client.getpeername()), plain(client.getsockname())


def fill(sock: socket.socket) -> None:
    """Send until neither this side's buffer nor the peer's takes any more, and nothing has moved for a while."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    sock.setblocking(False)
    deadline = time.monotonic() + 2.0
    refused = 0
    while refused < 10:
        try:
            sock.send(bytes(65536))
            refused = 0
        except BlockingIOError:
            refused += 1
            time.sleep(0.005)
        if time.monotonic() > deadline:
            raise Missing("the peer takes everything")


def raw_sender() -> socket.socket:
    """A raw socket that takes whole IP packets, any source (raw(7), IP_HDRINCL)."""
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def segment(
    source: str, sport: int, target: str, dport: int, flags: int, sequence: int, acknowledged: int
) -> bytes:
    """One TCP segment without data in its IPv4 packet; the kernel fills the IP checksum, length and id."""
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack(
        "!HHIIBBHHH", sport, dport, sequence, acknowledged & 0xFFFFFFFF, 5 << 4, flags, 65535, 0, 0
    )
    total = sum(struct.unpack("!16H", addresses + struct.pack("!HH", 6, len(head)) + head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:16] + struct.pack("!H", ~total & 0xFFFF) + head[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, 6, 0) + addresses + head


def heard(wire: socket.socket, flags: int) -> int:
    """The sequence number of the next segment to the ghost with just these flags."""
    for _ in range(100):
        packet = wire.recv(256)
        if packet[9] == 6 and packet[16:20] == socket.inet_aton(GHOST) and packet[33] & 0x3F == flags:
            return int.from_bytes(packet[24:28], "big")
    raise Missing("no answer seen on the link")


ROLES = (half_open, accept_queue, closing_down, unsent, simultaneous_close)
