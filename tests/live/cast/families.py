"""The other families and protocols: raw, ping, packet, netlink, MPTCP, vsock, and a socket of the kernel's own."""

from __future__ import annotations

import os
import socket
import time

from tests.live.cast.actor import IPPROTO_MPTCP, Actor
from tests.live.cast.inet import LINK, V4, V6

ETH_P_ALL, ETH_P_IP = 3, 0x0800
RTMGRP_LINK, RTMGRP_IPV4_IFADDR = 1, 0x10
NETLINK_ROUTE, NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC = 0, 15, 16
VXLAN_PORT = 4789
MPTCP_PORT = 24100
VXLAN_LINK = "vx0"
UNPLAYED = {
    "dccp": (V4, 6, 33),
    "smc": (43, socket.SOCK_STREAM, 0),
    "tipc": (socket.AF_TIPC, socket.SOCK_STREAM, 0),
    "xdp": (44, socket.SOCK_RAW, 0),
    "can": (socket.AF_CAN, socket.SOCK_RAW, 1),
}


def raw(actor: Actor) -> None:
    """Raw sockets; the kernel's tables show the protocol number as the local port."""
    actor.attempt("raw", _raw)


def _raw(actor: Actor) -> None:
    def make(what: str, family: int, number: int, address: str = "", peer: str = "") -> None:
        sock = socket.socket(family, socket.SOCK_RAW, number)
        if address:
            sock.bind((address, 0))
        if peer:
            sock.connect((peer, 0))
        any_address = "0.0.0.0" if family == V4 else "::"
        local = (sock.getsockname()[0], number)
        state = "established" if peer else "unconnected"
        actor.note(
            what, sock, state, protocol="raw", number=number, local=local, remote=(peer or any_address, None)
        )

    make("raw v4, any", V4, 253)
    make("raw v4, icmp", V4, socket.IPPROTO_ICMP)
    make("raw v4, bound", V4, 253, "127.0.0.1")
    make("raw v4, connected", V4, 253, "127.0.0.1", "127.0.0.2")
    make("raw v6, any", V6, 253)
    make("raw v6, icmpv6", V6, socket.IPPROTO_ICMPV6, "::1")


def ping(actor: Actor) -> None:
    """Unprivileged ICMP echo sockets (icmp(7)): the local port is the echo identifier."""
    actor.attempt("ping v4", _ping, "ping v4", V4, socket.IPPROTO_ICMP, "127.0.0.1", 25001)
    actor.attempt("ping v6", _ping, "ping v6", V6, socket.IPPROTO_ICMPV6, "::1", 25002)


def _ping(actor: Actor, what: str, family: int, number: int, address: str, identifier: int) -> None:
    sock = socket.socket(family, socket.SOCK_DGRAM, number)
    sock.bind((address, identifier))
    actor.note(what, sock, "unconnected", protocol="icmp", number=number, local=(address, identifier))


def packet(actor: Actor) -> None:
    """Packet sockets (packet(7)), raw and cooked, on a link and on none."""
    actor.attempt("packet raw, one link", _packet, "packet raw, one link", socket.SOCK_RAW, ETH_P_ALL, LINK)
    actor.attempt(
        "packet dgram, any link", _packet, "packet dgram, any link", socket.SOCK_DGRAM, ETH_P_IP, ""
    )
    actor.attempt("packet raw, off", _packet, "packet raw, off", socket.SOCK_RAW, 0, "")


def _packet(actor: Actor, what: str, kind: int, number: int, link: str) -> None:
    sock = socket.socket(socket.AF_PACKET, kind, socket.htons(number))
    if link:
        sock.bind((link, number))
    actor.note(what, sock, "unconnected", protocol="packet", number=number, device=link)


def netlink(actor: Actor) -> None:
    """Netlink sockets with a port number, with groups, of other protocols."""

    def make(what: str, number: int, port: int, groups: int) -> None:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, number)
        sock.bind((port, groups))
        actor.note(what, sock, "unconnected", number=number, local=("", sock.getsockname()[0]))

    make("netlink route", NETLINK_ROUTE, 0, 0)
    make("netlink route, groups", NETLINK_ROUTE, 0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR)
    make("netlink generic, chosen port", NETLINK_GENERIC, 0x70000001, 0)
    make("netlink uevent", NETLINK_KOBJECT_UEVENT, 0, 1)


def multipath(actor: Actor) -> None:
    """MPTCP (RFC 8684): the listener and a connection; each has TCP subflows below it that share its inode number."""
    actor.attempt("mptcp", _multipath)


def _multipath(actor: Actor) -> None:
    for name, family, address, port in (
        ("v4", V4, "127.0.0.1", MPTCP_PORT),
        ("v6", V6, "::1", MPTCP_PORT + 1),
    ):
        listener = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP)
        listener.bind((address, port))
        listener.listen(4)
        client = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP)
        client.connect((address, port))
        accepted, _ = listener.accept()
        client.send(b"x")
        time.sleep(0.01)
        accepted.recv(1)
        actor.note(f"mptcp {name}: listener", listener, "listen", backlog=(0, 4))
        actor.note(f"mptcp {name}: client", client, "established")
        actor.note(f"mptcp {name}: accepted", accepted, "established")


def vsock(actor: Actor) -> None:
    """A vsock listener; only vsock_diag lists it, and not every kernel has that."""
    actor.attempt("vsock", _vsock)


def _vsock(actor: Actor) -> None:
    sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    sock.bind(
        (socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY)
    )  # ports are the whole host's: let the kernel choose
    sock.listen(4)
    actor.note(
        "vsock listen",
        sock,
        "listen",
        local=("", sock.getsockname()[1]),
        visible=False,
        why="needs vsock_diag",
    )


def sctp(actor: Actor) -> None:
    """An SCTP listener, where the kernel has SCTP."""
    actor.attempt("sctp", _sctp)


def _sctp(actor: Actor) -> None:
    sock = socket.socket(V4, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    sock.bind(("127.0.0.1", 24200))
    sock.listen(4)
    actor.note("sctp listen", sock, "listen")


def absent(actor: Actor) -> None:
    """Families for which there is no part: say for each whether this kernel has it."""
    for what, (family, kind, number) in UNPLAYED.items():
        try:
            socket.socket(family, kind, number).close()
        except OSError as error:
            actor.missing(what, error.strerror)
        else:
            actor.missing(what, "offered by this kernel, but the cast has no part for it yet")


def kernel(actor: Actor) -> None:
    """UDP sockets of the kernel's own: the stage's vxlan link (set up by the world) has one per family."""
    if not os.path.exists(f"/proc/net/dev_snmp6/{VXLAN_LINK}"):
        actor.missing("kernel socket", "no vxlan link could be made")
        return
    actor.note(
        "kernel udp socket", None, "unconnected", family="inet", type="dgram", protocol="udp",
        local=("0.0.0.0", VXLAN_PORT), remote=("0.0.0.0", 0), gap="kernel",
    )  # fmt: skip


ROLES = (raw, ping, packet, netlink, multipath, sctp, vsock, absent, kernel)
