"""Records the golden files from the running kernel: `python -m tests.golden.record` as root, then read the diff.

Every socket has a fixed address in a throw-away namespace; inodes, cookies and cgroups are what the kernel gave.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
import tempfile
from pathlib import Path

from tests.golden import hexdump
from tests.golden.exchanges import EXCHANGES, Exchange, readings

from portside.errors import PortsideError
from portside.system.netlink import Netlink, open_socket
from portside.testing.namespaces import Namespace

HERE = Path(__file__).parent
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10
TEXTS = ("tcp", "tcp6", "udp", "udp6", "raw", "unix", "packet", "netlink", "protocols", "sockstat")
LOCAL = "127.0.0.1"
ROUTES = (
    "addr add 192.0.2.1/24 dev vx0",
    "addr add 2001:db8::1/64 dev vx0 nodad",
    "route add 198.51.100.0/24 via 192.0.2.9 mtu 1300",
    "route add 10.0.0.0/8 nexthop via 192.0.2.8 nexthop via 192.0.2.9",
    "route add blackhole 203.0.113.0/24",
)


def main() -> None:
    with Namespace() as space:
        space.ip("link add vx0 type vxlan id 42 dstport 4789 local 127.0.0.1", "link set vx0 up")
        space.ip(*ROUTES)
        files = space.call(record)
    for name, text in files.items():
        (HERE / name).write_text(text, encoding="ascii")
    print(f"{len(files)} files written")


def record() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        kept = [*tcp(), *udp(), *others()]
        files = {f"replies/{name}.txt": exchange(name, one) for name, one in EXCHANGES.items()}
        kept += hostile_paths()
        for name in TEXTS:
            files[f"procnet/{name}.txt"] = text(name, Path("/proc/net", name).read_bytes())
        os.chdir("/")
    for one in kept:
        one.close()
    return files


def text(name: str, data: bytes) -> str:
    """A file of /proc/net and what it means."""
    values = readings(name, data.decode("utf-8", "surrogateescape"))
    return hexdump.escape(data) + hexdump.MEANS + "".join(f"= {value!r}\n" for value in values)


def tcp() -> list[socket.socket]:
    def make(family, address, number, backlog=None, only=None, kind=socket.IPPROTO_TCP):
        made = socket.socket(family, socket.SOCK_STREAM, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if only is not None:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        made.bind((address, number))
        if backlog is not None:
            made.listen(backlog)
        return made

    def connect(number):
        client = make(socket.AF_INET, LOCAL, number)
        client.connect((LOCAL, 8080))
        return client

    listener = make(socket.AF_INET, LOCAL, 8080, 16)
    first = connect(40000)
    accepted, _ = listener.accept()
    first.send(b"hello")
    short = connect(40002)
    shadow, _ = listener.accept()
    short.close()  # the client ends first: its end becomes the shadow
    shadow.recv(1)
    shadow.close()
    waiting = connect(40001)
    both, six = make(socket.AF_INET6, "::", 8081, 5, 0), make(socket.AF_INET6, "::", 8082, 5, 1)
    os.seteuid(65534)
    foreign = make(socket.AF_INET6, "::1", 8083, 1)
    os.seteuid(0)
    bound = make(socket.AF_INET, LOCAL, 8090)
    multipath = make(socket.AF_INET, LOCAL, 8091, 2, kind=262)
    return [listener, first, accepted, waiting, both, six, foreign, bound, multipath]


def udp() -> list[socket.socket]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    made[0].bind(("0.0.0.0", 5353))
    made[1].bind((LOCAL, 5354))
    made[1].connect((LOCAL, 5353))
    made[0].sendto(b"udp", (LOCAL, 5354))
    made[2].setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    made[2].bind(("0.0.0.0", 5355))
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    six.bind(("::1", 5356))
    return [*made, six]


def others() -> list[socket.socket]:
    path = socket.socket(socket.AF_UNIX)
    path.bind("golden.sock")
    path.listen(3)
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    abstract.bind("\0golden\0name")
    abstract.listen(1)
    datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagram.bind("golden.dgram")
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind(("lo", 3))
    cooked = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    route.bind((77, 1))
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return [path, abstract, *socket.socketpair(), datagram, raw, cooked, route, icmp]


def hostile_paths() -> list[socket.socket]:
    made = []
    for path in ("two words", "  blanks  ", "new\nline", "end\n", "re\rturn", "\udcff.sock", "\0blank inside ",
                 "x 7 y", "Num RefCount: 1 2 3"):  # fmt: skip
        made.append(socket.socket(socket.AF_UNIX))
        made[-1].bind(path if not path.startswith("\0") else path.encode())
    return made


class Recorder:
    """A netlink socket that keeps the datagrams that go through it."""

    def __init__(self, protocol: int, cap: bool) -> None:
        self.link = open_socket(protocol)
        if cap:
            self.link.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self.close = self.link.close

    def send(self, data: bytes) -> int:
        self.sent.append(bytes(data))
        return self.link.send(data)

    def recvfrom_into(self, buffer: memoryview, nbytes: int, flags: int) -> tuple[int, object]:
        got, sender = self.link.recvfrom_into(buffer, nbytes, flags)
        self.received.append(bytes(buffer[:got]))
        return got, sender


def exchange(name: str, one: Exchange) -> str:
    recorders: list[Recorder] = []

    def open_recorder(protocol: int) -> Recorder:
        recorders.append(Recorder(protocol, name == "error_capped"))
        return recorders[-1]

    with Netlink(one.protocol, open_recorder) as link:
        try:
            values = one.read(link.dump(one.request, name))
        except PortsideError as error:
            values = [(error.errno, error.extack)]
    (recorder,) = recorders
    system = os.uname()
    shown = [f"# {one.what}", f"# {system.sysname} {system.release.partition('-')[0]} {platform.machine()}"]
    shown += [f"# python -m tests.golden.record, in a namespace of its own; {sys.byteorder}-endian", ""]
    for sign, datagrams, layout in (
        (">", recorder.sent, one.asked),
        ("<", recorder.received, one.layout),
    ):
        names = one.names if sign == "<" else {1: "bytecode", 3: "protocol", 18: "linkinfo"}
        for datagram in datagrams:
            shown += [*hexdump.lines(sign, datagram, layout, names), ""]
    return "\n".join([*shown, *(f"= {value!r}" for value in values), ""])


if __name__ == "__main__":
    main()
