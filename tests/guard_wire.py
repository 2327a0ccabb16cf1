"""A host with two networks and a container, and real packets sent to it: the kernel's verdict on a packet.

`Host` lies between `left` (192.0.2.0/24, 2001:db8:1::/64, and the way to everywhere), `right` (198.51.100.0/24,
2001:db8:2::/64) and `box`, a container behind a bridge (172.17.0.0/16).  A child process of its own keeps a
descriptor of each namespace and hops between them: sockets are opened where they belong, a packet costs microseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import subprocess
import time

from portside.testing.namespaces import Namespace

CLONE_NEWNET = 0x40000000
LEFT, RIGHT = "192.0.2.7", "198.51.100.7"
SOURCES = {
    "eth0": ["192.0.2.7", "192.0.2.8", "203.0.113.5", "10.1.2.3", "2001:db8:1::7", "2001:db8:9::5"],
    "eth1": ["198.51.100.7", "198.51.100.200", "2001:db8:2::7"],
}
OWN = {
    "eth0": ["192.0.2.1", "198.51.100.1", "2001:db8:1::1", "2001:db8:2::1"],
    "eth1": ["198.51.100.1", "192.0.2.1", "2001:db8:2::1"],
}
LISTENING = (22, 80, 443, 53, 8080, 3128)
BOX = "172.17.0.2"
_libc = ctypes.CDLL(None, use_errno=True)


def build(host: Namespace, left: Namespace, right: Namespace, box: Namespace) -> None:
    """Join the namespaces by links, and give everybody addresses and routes."""
    for name, peer, addresses in (
        ("eth0", left, ("192.0.2.1/24", "2001:db8:1::1/64")),
        ("eth1", right, ("198.51.100.1/24", "2001:db8:2::1/64")),
        ("vbox", box, ()),
    ):
        host.ip(f"link add {name} type veth peer name eth0 netns {peer.pid}")
        host.ip(*(f"address add {one} dev {name}" + (" nodad" if ":" in one else "") for one in addresses))
        host.ip(f"link set {name} up")
    host.ip(
        "link add docker0 type bridge", "link set vbox master docker0", "link set docker0 up",
        "address add 172.17.0.1/16 dev docker0", "route add default via 192.0.2.7",
        "route add ::/0 via 2001:db8:1::7",
    )  # fmt: skip
    for peer, name, gateways in (
        (left, "eth0", ("192.0.2.1", "2001:db8:1::1")),
        (right, "eth1", ("198.51.100.1", "2001:db8:2::1")),
    ):
        lines = [
            f"address add {one}/{64 if ':' in one else 24} dev eth0 nodad"
            if one.endswith("7")
            else f"address add {one} dev lo"
            for one in SOURCES[name]
        ]
        ways = (f"route add default via {gateways[0]}", f"route add ::/0 via {gateways[1]}")
        peer.ip("link set eth0 up", *lines, *ways)
    box.ip("link set eth0 up", "address add 172.17.0.2/16 dev eth0", "route add default via 172.17.0.1")
    introduce(host, "eth0", left, ("192.0.2.1", "2001:db8:1::1"), SOURCES["eth0"][:2] + SOURCES["eth0"][4:5])
    introduce(host, "eth1", right, ("198.51.100.1", "2001:db8:2::1"), SOURCES["eth1"])
    introduce(host, "docker0", box, ("172.17.0.1",), (BOX,))
    host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
              "net.ipv4.conf.default.rp_filter=0", "net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_msgs_per_sec=100000",
              "net.ipv6.icmp.ratelimit=0"])  # fmt: skip


def introduce(host: Namespace, name: str, peer: Namespace, own, theirs) -> None:
    """Tell both ends of a link each other's hardware addresses: rules that drop discovery drop no more then."""
    here, there = hardware(host, name), hardware(peer, "eth0")
    host.ip(*(f"neighbour replace {one} lladdr {there} dev {name} nud permanent" for one in theirs))
    peer.ip(*(f"neighbour replace {one} lladdr {here} dev eth0 nud permanent" for one in own))


def hardware(space: Namespace, name: str) -> str:
    return json.loads(space.run(["ip", "-j", "link", "show", name]).stdout)[0]["address"]


class Wire:
    """Sends packets; lives in a forked child (`Namespace.call` of the host), which may hop."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.spaces = {name: os.open(f"/proc/{pid}/ns/net", os.O_RDONLY) for name, pid in pids.items()}
        self.port = 20000 + os.getpid() * 1009 % 40000  # or connection tracking would know it from before
        self.listeners: dict[tuple[str, str, int], list[socket.socket]] = {}
        for name, ports in (("host", LISTENING), ("box", (80, 53, 8080))):
            self.hop(name)
            for port in ports:
                for family in (socket.AF_INET, socket.AF_INET6):
                    if name == "box" and family == socket.AF_INET6:
                        continue
                    self.listeners[name, "tcp", port] = self.listeners.get((name, "tcp", port), [])
                    self.listeners[name, "udp", port] = self.listeners.get((name, "udp", port), [])
                    self.listeners[name, "tcp", port].append(self.listen(family, socket.SOCK_STREAM, port))
                    self.listeners[name, "udp", port].append(self.listen(family, socket.SOCK_DGRAM, port))
        self.hop("host")

    def hop(self, name: str) -> None:
        if _libc.setns(self.spaces[name], CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    @staticmethod
    def listen(family: int, kind: int, port: int) -> socket.socket:
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            made.listen(64)
        made.setblocking(False)
        return made

    def send(
        self, space: str, protocol: str, source: str, target: str, port: int, patience: float = 0.004
    ) -> tuple[str, str]:
        """Send one packet; return (where it came out, `` if nowhere; what the client saw)."""
        self.patience = patience
        self.port = 20000 + (self.port + 1 - 20000) % 40000
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        self.hop(space)
        try:
            with socket.socket(family, kind) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind((source, self.port))
                client.setblocking(False)
                return (self.tcp if protocol == "tcp" else self.udp)(client, target, port)
        finally:
            self.hop("host")

    def udp(self, client: socket.socket, target: str, port: int) -> tuple[str, str]:
        with contextlib.suppress(ConnectionError, PermissionError, OSError):
            client.connect((target, port))
            client.send(b"?")
        came = self.first("udp", lambda one: one.recvfrom(64)[1][1])
        if came:
            return came, ""
        return "", self.seen(client)

    def tcp(self, client: socket.socket, target: str, port: int) -> tuple[str, str]:
        with contextlib.suppress(BlockingIOError):
            client.connect((target, port))
        came = self.first("tcp", self.accept)
        return came, "" if came else self.seen(client)

    @staticmethod
    def accept(one: socket.socket) -> int:
        connection, peer = one.accept()
        connection.close()
        return peer[1]

    def first(self, protocol: str, take) -> str:
        """Wait a moment for something to come out; return where."""
        end = time.monotonic() + self.patience
        while True:
            for (name, kind, port), listeners in self.listeners.items():
                if kind != protocol:
                    continue
                for one in listeners:
                    try:
                        sender = take(one)
                    except (BlockingIOError, ConnectionError):
                        continue
                    if sender == self.port:  # else a late one of an earlier packet
                        return f"{name} {port}"
            if time.monotonic() > end:
                return ""

    @staticmethod
    def seen(client: socket.socket) -> str:
        select.select([client], [client], [client], 0)
        code = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return errno.errorcode.get(code, "") if code else "silence"

    @staticmethod
    def run(*argv: str, input: str = "") -> str:
        """Run a program in the host's namespace; return its output, raise what it said if it failed."""
        done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise ValueError(done.stderr)
        return done.stdout


@contextlib.contextmanager
def spaces():
    """Yield the four namespaces, built."""
    with Namespace() as host, Namespace() as left, Namespace() as right, Namespace() as box:
        build(host, left, right, box)
        yield host, {"host": host.pid, "eth0": left.pid, "eth1": right.pid, "box": box.pid}


def every_packet(ports):
    """Yield (namespace, protocol, source, target, port) of packets from every source to every own address."""
    for space, sources in SOURCES.items():
        for source in sources:
            for target in OWN[space]:
                if (":" in source) == (":" in target):
                    for protocol in ("tcp", "udp"):
                        for port in ports:
                            yield space, protocol, source, target, port


def listens(said) -> bool:
    """Whether somebody listens where a packet is said to arrive (a closed port would hide that it did)."""
    if said.arrives is None:
        return True
    address, port = said.arrives
    return port in ((80, 53, 8080) if address == BOX else LISTENING)
