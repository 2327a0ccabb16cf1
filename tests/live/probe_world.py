"""Hosts to scan, made of namespaces, and the truth about every port of theirs.

    scanner 198.51.100.1 -- 198.51.100.254 router 192.0.2.254 -- 192.0.2.2 target   (2001:db8:1::, 2::)
                                           router 203.0.113.1 .. 203.0.113.2 far    (a wire that takes time)

The target accepts, rejects with a reset or with each kind of ICMP error, drops, limits, and hides behind a SYN proxy.
The router rejects in its own name, translates addresses, loses packets on their way to 192.0.2.3, and has no route to
192.0.2.128/25 (blackhole: unreachable).  `truth` holds, for each of them, what a scanner must say and why.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from portside.testing.namespaces import Namespace

SCANNER, ROUTER, TARGET, LOSSY, FAR = (
    "198.51.100.1",
    "198.51.100.254",
    "192.0.2.2",
    "192.0.2.3",
    "203.0.113.2",
)
UNROUTED = "192.0.2.130"
SCANNER6, ROUTER6, TARGET6 = "2001:db8:1::1", "2001:db8:1::fe", "2001:db8:2::2"
DELAY = 0.04  # seconds, one way
LOSS = 10  # percent, on the way to LOSSY

ICMP = {
    101: ("net-unreachable", "net-unreach"),
    102: ("host-unreachable", "host-unreach"),
    103: ("prot-unreachable", "proto-unreach"),
    104: ("port-unreachable", "port-unreach"),
    105: ("net-prohibited", "net-prohibited"),
    106: ("host-prohibited", "host-prohibited"),
    107: ("admin-prohibited", "admin-prohibited"),
}
ICMP6 = {
    101: ("no-route", "no-route"),
    102: ("admin-prohibited", "admin-prohibited"),
    103: ("addr-unreachable", "addr-unreach"),
    104: ("port-unreachable", "port-unreach"),
    105: ("policy-fail", "failed-policy"),
    106: ("reject-route", "reject-route"),
}
LISTENING = (22, 80, 8000, 50001)
LIMITED = tuple(range(400, 406))  # open; SYNs beyond 20 a second are dropped
PROXIED = (500, 501)  # a SYN proxy answers for both; behind the second nobody listens
MANY = tuple(range(20000, 20200))  # open on the lossy and the far host
UDP_ECHO, UDP_SILENT, UDP_CLOSED, UDP_DROPPED, UDP_PROHIBITED = 6000, 6001, 6002, 6003, 6004
UDP_MANY = tuple(range(6100, 6200))  # open on the far host; one datagram in 25 to them is lost


class Truth(NamedTuple):
    """What is so of one port; `reason` in the words of a SYN scan (`reset`), `source` empty for the host itself."""

    address: str
    protocol: str
    port: int
    state: str
    reason: str
    source: str = ""


def truths() -> list[Truth]:
    """Return the truth about every port that the world has a rule for."""
    found = []
    for address, kinds in ((TARGET, ICMP), (TARGET6, ICMP6)):
        found += [Truth(address, "tcp", port, "open", "syn-ack") for port in (*LISTENING, *LIMITED, *PROXIED)]
        found += [Truth(address, "tcp", port, "closed", "reset") for port in (1, 2, 50000, 65535)]
        found += [Truth(address, "tcp", port, "filtered", reason) for port, (_, reason) in kinds.items()]
        found += [Truth(address, "tcp", port, "filtered", "no-response") for port in (200, 201)]
        found += [
            Truth(address, "udp", UDP_ECHO, "open", "udp-response"),
            Truth(address, "udp", UDP_SILENT, "open|filtered", "no-response"),
            Truth(address, "udp", UDP_CLOSED, "closed", "port-unreach"),
            Truth(address, "udp", UDP_DROPPED, "open|filtered", "no-response"),
            Truth(address, "udp", UDP_PROHIBITED, "filtered", "admin-prohibited"),
        ]
    found += [
        Truth(TARGET, "tcp", 300, "filtered", "admin-prohibited", ROUTER),
        Truth(TARGET6, "tcp", 300, "filtered", "admin-prohibited", ROUTER6),
        Truth(TARGET, "tcp", 301, "filtered", "no-response"),
        Truth(TARGET6, "tcp", 301, "filtered", "no-response"),
        Truth(ROUTER, "tcp", 8080, "open", "syn-ack"),  # translated to the target's 80
        Truth(ROUTER, "tcp", 8081, "closed", "reset"),  # translated to the target's 1
        Truth(ROUTER, "tcp", 8082, "filtered", "port-unreach"),  # translated to the target's 104
        Truth(ROUTER, "tcp", 8083, "closed", "reset"),
        Truth(UNROUTED, "tcp", 80, "filtered", "host-unreach", ROUTER),
        Truth(FAR, "tcp", 22, "open", "syn-ack"),
        Truth(FAR, "tcp", 23, "closed", "reset"),
        Truth(ROUTER, "udp", 8080, "open", "udp-response"),  # translated to the target's echo
        Truth(ROUTER, "udp", 8081, "closed", "port-unreach"),  # translated to the target's closed port
        Truth(FAR, "udp", UDP_ECHO, "open", "udp-response"),
        Truth(FAR, "udp", UDP_CLOSED, "closed", "port-unreach"),
    ]
    return found


_LISTENERS = """
import select, socket, sys
tcp, udp, silent = eval(sys.argv[1])
kept, echo = [], set()
for port in tcp:
    kept.append(socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096))
for port in (*udp, *silent):
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    one.bind(("::", port))
    kept.append(one)
    if port in udp:
        echo.add(one)
print("ready", flush=True)
poll = select.poll()
for one in kept:
    poll.register(one, select.POLLIN)
poll.register(0, select.POLLIN)
by_number = {one.fileno(): one for one in kept}
while True:
    for number, _ in poll.poll():
        if number == 0:
            sys.exit()
        one = by_number[number]
        if one in echo:
            data, peer = one.recvfrom(65535)
            one.sendto(data or b"?", peer)
        elif one.type == socket.SOCK_DGRAM:
            one.recvfrom(65535)
        else:
            one.accept()[0].close()
"""

# Two tun devices, one in each namespace, and a process between them that hands every packet on after a while.
_WIRE = """
import ctypes, fcntl, heapq, os, select, struct, sys, time
libc, delay = ctypes.CDLL(None, use_errno=True), float(sys.argv[3])
def end(pid, name):
    space = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(space, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH14x", name.encode(), 0x0001 | 0x1000))  # IFF_TUN | IFF_NO_PI
    return device
one, other = end(sys.argv[1], "wire0"), end(sys.argv[2], "wire1")
print("ready", flush=True)
waiting, number = [], 0
while True:
    pause = None if not waiting else max(0.0, waiting[0][0] - time.monotonic())
    ready, _, _ = select.select([0, one, other], [], [], pause)
    if 0 in ready:
        sys.exit()
    for device in ready:
        while True:
            try:
                packet = os.read(device, 65535)
            except BlockingIOError:
                break
            number += 1
            heapq.heappush(waiting, (time.monotonic() + delay, number, other if device == one else one, packet))
    while waiting and waiting[0][0] <= time.monotonic():
        _, _, device, packet = heapq.heappop(waiting)
        try:
            os.write(device, packet)
        except OSError:
            pass
"""


class ProbeWorld:
    """The world, from `with` to the end of the block: `scanner`, `router`, `target`, `far` and the `truth`."""

    def __init__(self) -> None:
        self.scanner, self.router, self.target, self.far = (Namespace() for _ in range(4))
        self.truth = truths()
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> ProbeWorld:
        try:
            for space in (self.scanner, self.router, self.target, self.far):
                space.__enter__()
            self._connect()
            self._filter()
            self._start(self.target, _LISTENERS, repr((_listening(), (UDP_ECHO,), (UDP_SILENT,))))
            self._start(self.far, _LISTENERS, repr(((22, *MANY), (UDP_ECHO, *UDP_MANY), ())))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the helpers and the namespaces."""
        for child in self._children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        self._children = []
        for space in (self.far, self.target, self.router, self.scanner):
            space.close()

    def _start(self, space: Namespace | None, script: str, *arguments: str) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=space.enter if space else None,
        )
        self._children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n", "a helper of the world did not start"

    def _connect(self) -> None:
        for space in (self.scanner, self.router, self.target, self.far):
            _sysctl(space, "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        self.scanner.ip(
            f"link add out type veth peer name in netns {self.router.pid}",
            "link set out up",
            f"address add {SCANNER}/24 dev out",
            f"address add {SCANNER6}/64 dev out nodad",
        )
        self.router.ip(
            f"link add lan type veth peer name eth netns {self.target.pid}",
            *(f"link set {name} up" for name in ("in", "lan")),
            f"address add {ROUTER}/24 dev in",
            f"address add {ROUTER6}/64 dev in nodad",
            "address add 192.0.2.254/24 dev lan",
            "address add 2001:db8:2::fe/64 dev lan nodad",
            "route add unreachable 192.0.2.128/25",
        )
        self.target.ip(
            "link set eth up",
            f"address add {TARGET}/24 dev eth",
            f"address add {LOSSY}/24 dev eth",
            f"address add {TARGET6}/64 dev eth nodad",
            "route add default via 192.0.2.254",
            "route add default via 2001:db8:2::fe",
        )
        self._start(None, _WIRE, str(self.router.pid), str(self.far.pid), str(DELAY))
        self.router.ip("link set wire0 up", "address add 203.0.113.1/30 dev wire0")
        self.far.ip(
            "link set wire1 up", f"address add {FAR}/30 dev wire1", "route add default via 203.0.113.1"
        )
        self.scanner.ip(f"route add default via {ROUTER}", f"route add default via {ROUTER6}")
        for space in (self.router, self.target, self.far):
            _sysctl(space, "net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_msgs_per_sec=100000")
            _sysctl(space, "net.ipv4.icmp_msgs_burst=10000", "net.ipv6.icmp.ratelimit=0")
        _sysctl(self.router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        _sysctl(self.target, "net.netfilter.nf_conntrack_tcp_loose=0", "net.ipv4.tcp_timestamps=1")

    def _filter(self) -> None:
        limited, proxied = _set(LIMITED), _set(PROXIED)
        rules = [
            "tcp dport 2 reject with tcp reset",
            "tcp dport { 200, 201 } drop",
            f"tcp dport {limited} tcp flags syn limit rate over 20/second burst 3 packets drop",
            f"udp dport {UDP_DROPPED} drop",
            f"meta nfproto ipv4 udp dport {UDP_PROHIBITED} reject with icmp type admin-prohibited",
            f"meta nfproto ipv6 udp dport {UDP_PROHIBITED} reject with icmpv6 type admin-prohibited",
            *(
                f"meta nfproto ipv4 tcp dport {port} reject with icmp type {kind}"
                for port, (kind, _) in ICMP.items()
            ),
            *(
                f"meta nfproto ipv6 tcp dport {port} reject with icmpv6 type {kind}"
                for port, (kind, _) in ICMP6.items()
            ),
            f"tcp dport {proxied} ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm",
            f"tcp dport {proxied} ct state invalid drop",
        ]
        _nft(
            self.target,
            "table inet world {",
            f"chain raw {{ type filter hook prerouting priority -300; tcp dport {proxied} tcp flags syn notrack; }}",
            "chain in { type filter hook input priority 0;",
            *(f"{rule};" for rule in rules),
            "}",
            "}",
        )
        _nft(
            self.router,
            "table inet world {",
            "chain forward { type filter hook forward priority 0;",
            "meta nfproto ipv4 tcp dport 300 reject with icmp type admin-prohibited;",
            "meta nfproto ipv6 tcp dport 300 reject with icmpv6 type admin-prohibited;",
            "tcp dport 301 drop;",
            f"ip daddr {LOSSY} numgen random mod 100 < {LOSS} drop;",
            f"udp dport {UDP_MANY[0]}-{UDP_MANY[-1]} numgen inc mod 25 == 0 drop;",
            "}",
            "}",
            "table ip nat { chain pre { type nat hook prerouting priority -100;",
            f"ip daddr {ROUTER} tcp dport 8080 dnat to {TARGET}:80;",
            f"ip daddr {ROUTER} tcp dport 8081 dnat to {TARGET}:1;",
            f"ip daddr {ROUTER} tcp dport 8082 dnat to {TARGET}:104;",
            f"ip daddr {ROUTER} udp dport 8080 dnat to {TARGET}:{UDP_ECHO};",
            f"ip daddr {ROUTER} udp dport 8081 dnat to {TARGET}:{UDP_CLOSED};",
            "}",
            "}",
        )


def _listening() -> tuple[int, ...]:
    return (
        *LISTENING,
        *LIMITED,
        PROXIED[0],
        *MANY,
        *ICMP,
        2,
        200,
        201,
        300,
        301,
    )  # what is filtered is there too


def _set(ports: tuple[int, ...]) -> str:
    return "{ " + ", ".join(map(str, ports)) + " }"


def _nft(space: Namespace, *lines: str) -> None:
    done = space.run(["nft", "-f", "-"], input="\n".join(lines))
    assert not done.returncode, done.stderr


def _sysctl(space: Namespace, *settings: str) -> None:
    done = space.run(["sysctl", "-qw", *settings])
    assert not done.returncode, done.stderr


def root() -> bool:
    """Tell whether the world can be built: it takes real root (tun devices, other namespaces' links)."""
    return os.geteuid() == 0
