"""Whose is this socket?  Owners, user, unit, container, or the reason why none is known.

The holders' own facts come first.  Where no holder can be seen, the socket's creator stands in: sock_diag tells its
uid and cgroup to anybody.  A socket that systemd holds is named after its socket unit; one that the kernel holds
after the part of the kernel that does.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.see import owners as _owners
from portside.see.processes import is_manager
from portside.see.records import GONE, IN_FLIGHT, KERNEL, PERMISSION, Container, Owner, Process, Socket
from portside.system import netns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from portside.see.owners import Holders
    from portside.see.processes import ProcessTable
    from portside.see.sockets import Ownership
    from portside.system.host import Host
    from portside.system.kernel_owners import KernelOwners
    from portside.system.netns import NetworkNamespace
    from portside.system.systemd import SocketUnits


class Attribution:
    """Attributes the sockets of one snapshot; what it looks up it looks up once."""

    def __init__(self, host: Host, processes: ProcessTable, holders: Holders) -> None:
        self.processes = processes
        self.holders = holders
        self.gone: Collection[int] = ()
        self._host = host
        self._ordinary: dict[int, Process] = {}
        self._units: dict[int | None, SocketUnits] = {}
        self._in_flight: bool | None = None
        self._kernel: dict[int, KernelOwners] = {}

    def plain(self, inode: int, uid: int) -> Ownership | None:
        """Return the owner of a socket that one ordinary process holds once; None sends it to `of`."""
        packed = self.holders.packed.get(inode)
        if not isinstance(packed, int):
            return None
        pid = packed & 0xFFFFFFFF
        process = self._ordinary.get(pid)
        if process is None:
            process = self.holder(pid, inode)
            if process is None or is_manager(process):
                return None
            self._ordinary[pid] = process
        return (Owner(pid, packed >> 32, process),), self.processes.user(uid), process.unit, process.container

    def holder(self, pid: int, inode: int = 0) -> Process | None:
        """Return the process that was seen holding; None if it has ended, and if its pid is another's since."""
        process = self.processes.process(pid)
        seen = self.holders.later.get(inode, self.holders.ticks)
        return process if process is None or seen is None or process.start_ticks <= seen else None

    def of(self, socket: Socket, namespace: NetworkNamespace) -> Socket:
        """Return the socket with everything that can be said about its owners."""
        held = self.holders.of(socket.inode) if socket.inode else ()
        table = self.processes
        found = tuple(
            Owner(pid, fd, process)
            for pid, fd in held
            if (process := self.holder(pid, socket.inode)) is not None
        )
        user = table.user(socket.uid)
        if held and not found:  # the holder ended after it was seen
            return socket.with_owners((), GONE, user, *self._creator(socket.cgroup))
        if not found:
            return self._unheld(socket, user, namespace)
        unit, container, socket_unit = "", None, ""
        for owner in found:
            process = owner.process
            container = container or process.container
            if not is_manager(process):
                unit = unit or process.unit
            elif not socket_unit:
                socket_unit = self._socket_unit(socket, process.uid if owner.pid != 1 else None)
        return socket.with_owners(
            found, "", user, unit or socket_unit or found[0].process.unit, container, socket_unit
        )

    def _unheld(self, socket: Socket, user: str, namespace: NetworkNamespace) -> Socket:
        """Name the creator's unit and container, and say why there is no holder."""
        gap = _owners.gap(socket, self.holders, self.gone)
        unit, container = self._creator(socket.cgroup)
        kernel = ""
        if gap in (KERNEL, PERMISSION) and socket.local.port:
            kernel, certain = self._kernel_owner(socket, namespace)
            gap, kernel = (KERNEL, kernel) if certain else (gap, kernel if gap == KERNEL else "")
        if gap == KERNEL and not kernel and socket.family != "netlink" and self._something_in_flight():
            gap = IN_FLIGHT
        return socket.with_owners((), gap, user, unit, container, "", kernel)

    def _creator(self, cgroup: str) -> tuple[str, Container | None]:
        return self.processes.from_cgroup(cgroup) if cgroup else ("", None)

    def _socket_unit(self, socket: Socket, uid: int | None) -> str:
        """Return the socket unit by which the manager (system: uid None, else a user's) came to hold a socket."""
        if socket.state not in ("listen", "unconnected") or not self._host.live:
            return ""
        from portside.system.systemd import SocketUnits

        units = self._units.get(uid) or self._units.setdefault(uid, SocketUnits(uid=uid))
        found = units.find(socket.type, socket.local.address, socket.local.port)
        return found.id if found is not None else ""

    def _something_in_flight(self) -> bool:
        """Whether descriptors are under way between processes: such a socket cannot be told from the kernel's own."""
        if self._in_flight is None:
            self._in_flight = _owners.any_in_flight(self._host)
        return self._in_flight

    def _kernel_owner(self, socket: Socket, namespace: NetworkNamespace) -> tuple[str, bool]:
        """Return which part of the kernel has a port (empty: not known), and whether that is certain."""
        if not self._host.live or socket.family not in ("inet", "inet6"):
            return "", False
        known = self._kernel.get(namespace.inode)
        if known is None:
            from portside.system.kernel_owners import KernelOwners

            try:
                known = netns.run_inside_or_here(namespace, lambda: KernelOwners(self._host), self._host)
            except PortsideError:
                return "", False
            self._kernel[namespace.inode] = known
        return known.find(socket.protocol, socket.local.port)
