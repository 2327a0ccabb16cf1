"""Which part of the kernel holds a socket that no process has: tunnels, wireguard, the NFS server, lockd.

Asked only for sockets that nobody holds.  Tunnels tell their port in rtnetlink, the NFS server in
/proc/fs/nfsd/portlist.  WireGuard tells its port to CAP_NET_ADMIN alone; a kernel-held UDP port that no tunnel claims
is put down to it where there is a wireguard interface, and the name then ends in `?` as the guess it is.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.system.netlink import NETLINK_ROUTE, Netlink
from portside.wire import rtnetlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.host import Host

_LOCKD = "/proc/sys/fs/nfs/nlm_tcpport"  # exists while lockd is loaded
_NFSD = "/proc/fs/nfsd/portlist"


class KernelOwners:
    """The kernel's own users of ports in the calling thread's network namespace, read when first asked."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[tuple[str, int], str] = {}
        self._fallback: dict[str, str] = {}
        self._read_links()
        self._read_nfs()

    def find(self, protocol: str, port: int) -> tuple[str, bool]:
        """Return who in the kernel has a port (`vxlan vx0`, `wireguard wg0?`, `nfsd`) and whether that is certain."""
        claimed = self._known.get((protocol, port), "")
        return claimed or self._fallback.get(protocol, ""), bool(claimed)

    def _read_links(self) -> None:
        wireguard = []
        for link in _links(self._host):
            if link.port:
                self._known["udp", link.port] = f"{link.kind} {link.name}"
            elif link.kind == "wireguard":
                wireguard.append(link.name)
        if wireguard:
            self._fallback["udp"] = f"wireguard {','.join(wireguard)}?"

    def _read_nfs(self) -> None:
        for line in self._host.read_or(_NFSD).splitlines():
            transport, _, port = line.partition(" ")
            if port.isdecimal() and port.isascii():
                self._known[transport, int(port)] = "nfsd"
        if self._host.read_or(_LOCKD):
            self._fallback.setdefault("udp", "lockd?")
            self._fallback["tcp"] = "lockd?"


def _links(host: Host) -> list[rtnetlink.Link]:
    """Return the links of this namespace; none where they cannot be read, which is no reason to fail."""
    if host.netlink is None:
        return []
    try:
        with Netlink(NETLINK_ROUTE, host.netlink) as link:
            return list(rtnetlink.links(link.dump(rtnetlink.request(), "links")))
    except PortsideError:
        return []
