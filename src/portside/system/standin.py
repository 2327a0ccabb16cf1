"""Stand-ins: a copy of a host's interfaces in scratch namespaces, listeners there, and real packets sent to them.

Every interface is one end of a link whose other end lies in a namespace of its own, `peer NAME`.  Both ends have one
hardware address and ask for none (arp off), so that no rule can hinder neighbours from finding each other.
Reference: veth(4), arp_constructor and ndisc_constructor in the kernel for the neighbours of such devices.
"""

from __future__ import annotations

import errno
import select
import socket
import time

from portside.errors import PortsideError
from portside.system import commands
from portside.system.scratch import Spaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 0.01  # seconds that a packet has; within one kernel it takes microseconds
LONG_PATIENCE = 0.2  # on a busy machine
IPV6_V6ONLY = 26
IP_FREEBIND = 15


class StandIn:
    """The copy of a host, from within `scratch.run`."""

    def __init__(self) -> None:
        self.spaces = Spaces()
        self.listeners: dict[tuple[str, str, str, int], socket.socket] = {}
        self._sources: set[tuple[str, str]] = set()
        self._port = 30000

    def add_interface(self, name: str, number: int, addresses: Iterable[str]) -> None:
        """Make an interface and its peer."""
        peer = f"peer {name}"
        hardware = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        self.spaces.add(peer)
        ends = f"type veth peer name p0 address {hardware} netns {self.spaces.path(peer)}"
        lines = [
            f"link add {name} address {hardware} {ends}",
            f"link set {name} arp off",
            f"link set {name} up",
            *(f"address add {one} dev {name}" + (" nodad" if ":" in one else "") for one in addresses),
        ]
        commands.run(("ip", "-batch", "-"), "\n".join(lines))
        self.spaces.enter(peer)
        lines = ["link set p0 arp off", "link set p0 up", "route add default dev p0", "route add ::/0 dev p0"]
        commands.run(("ip", "-batch", "-"), "\n".join(lines))
        self.spaces.enter("host")

    @staticmethod
    def run(*argv: str, input: str = "") -> str:
        """Run a program in the host's copy."""
        return commands.run(argv, input)

    def batch(self, lines: Iterable[str]) -> list[str]:
        """Run ip(8) commands one by one; return what failed."""
        failed = []
        for line in lines:
            try:
                commands.run(("ip", *line.split()))
            except PortsideError as error:
                failed.append(f"ip {line}: {error.reason}")
        return failed

    def setting(self, path: str, value: int) -> None:
        """Give a setting below /proc/sys/net a value; what this kernel has not is left out."""
        try:
            with open(f"/proc/sys/net/{path}", "w") as file:
                file.write(str(value))
        except OSError:
            pass

    def listen(self, space: str, protocol: str, address: str, port: int) -> None:
        """Open a listener on an address, which in a peer's namespace is given to it first."""
        key = (space, protocol, address, port)
        if key in self.listeners:
            return
        self.spaces.enter(space)
        try:
            if space != "host":
                self._own(space, address)
            kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            if ":" in address:
                made.setsockopt(socket.IPPROTO_IPV6, IPV6_V6ONLY, 1)
            made.bind((address, port))
            if protocol != "udp":
                made.listen(16)
            made.setblocking(False)
            self.listeners[key] = made
        finally:
            self.spaces.enter("host")

    def _own(self, space: str, address: str) -> None:
        """Give the namespace that we are in an address, once."""
        if (space, address) not in self._sources:
            self._sources.add((space, address))
            word = "128" if ":" in address else "32"
            flags = ("nodad",) if ":" in address else ()
            commands.run(("ip", "address", "add", f"{address}/{word}", "dev", "lo", *flags))

    def arrives(
        self,
        interface: str,
        protocol: str,
        source: str,
        source_port: int,
        target: str,
        port: int,
        patience: float = PATIENCE,
    ) -> tuple[bool, str]:
        """Send one packet; return whether a connection came about (UDP: whether it came in), what the client saw."""
        space = f"peer {interface}"
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        self.spaces.enter(space)
        self._own(space, source)
        client = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind)
        try:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((source, source_port))
            client.setblocking(False)
            try:
                client.connect((target, port))
                if protocol == "udp":
                    client.send(b"portside")
            except BlockingIOError:
                pass
            except OSError as error:
                return False, errno.errorcode.get(error.errno or 0, "?")
            came = self._came(source_port, protocol, patience)
            return came, "" if came else self._seen(client)
        finally:
            client.close()
            self.spaces.enter("host")

    def _came(self, source_port: int, protocol: str, patience: float) -> bool:
        deadline = time.monotonic() + patience
        mine = [one for (_, kind, _, _), one in self.listeners.items() if kind == protocol]
        while (left := deadline - time.monotonic()) > 0:
            for one in select.select(mine, [], [], left)[0]:
                try:
                    if protocol == "udp":
                        peer = one.recvfrom(64)[1]
                    else:
                        connection, peer = one.accept()
                        connection.close()
                except OSError:
                    continue
                if peer[1] == source_port:
                    return True
        return False

    @staticmethod
    def _seen(client: socket.socket) -> str:
        code = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return errno.errorcode.get(code, "?") if code else "silence"
