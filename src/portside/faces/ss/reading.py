"""What the tables of the ss face ask, answered by the running kernel or by what the environment names instead."""

from __future__ import annotations

import os

from portside.errors import NotSupported, PortsideError, Vanished
from portside.faces import printable
from portside.faces.ss.condition import holds, program
from portside.faces.ss.context import Stop
from portside.faces.ss.holders import Users
from portside.faces.ss.services import Services
from portside.faces.ss.texts import text
from portside.wire import inet_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portside.faces.ss.condition import Node
    from portside.faces.ss.context import Options, Subject
    from portside.system.cgroups import CgroupTree
    from portside.system.host import Host
    from portside.wire.inet_diag import Row

_AF_INET = 2


class Live:
    """One for the whole run: see `context.Reading`.  `program` is what the kernel is told of `filter`."""

    def __init__(self, options: Options, host: Host, environ: Mapping[str, str]) -> None:
        self.host = host
        self.environ = environ
        self.filter: Node | None = None
        self.program = b""
        self._options = options
        port_range = self.text("PROC_IP_LOCAL_PORT_RANGE", "sys/net/ipv4/ip_local_port_range")
        self.services = Services(host, port_range, numeric=options.numeric, resolve=options.resolve)
        self._users = Users(host, options)
        self._interfaces: dict[int, str] = {}
        self._tree: CgroupTree | None = None
        shown = options.processes or options.threads or options.process_context
        self.want = self._users.want if shown else _nothing
        self.users = self._users.text if shown else _no_text

    def select(self, node: Node | None) -> None:
        """Take the filter."""
        self.filter = node
        self.program = program(node)

    def dump(self, request: bytes, what: str) -> bytes:
        """Send a sock_diag dump request; return whole answers."""
        if not self.host.netlink:
            raise NotSupported("read", what, "a recorded host has no sock_diag")
        from portside.system.netlink import Netlink

        with Netlink(opener=self.host.netlink) as link:
            return link.dump(request, what)

    def destroy(self, protocol: int, row: Row, told: Mapping[str, object]) -> bool:
        """Close a socket of another process; return whether it was there and could be.  Raises Stop without right."""
        from portside.system.netlink import Netlink

        inner = told.get("protocol")
        raw = inner if protocol == inet_diag.IPPROTO_RAW and isinstance(inner, int) else 0
        request = inet_diag.destroy_request(protocol, row, raw)
        try:
            with Netlink() as link:
                link.call(request, "a socket")
        except (Vanished, NotSupported):
            return False
        except PortsideError as error:
            reason = os.strerror(error.errno) if error.errno else error.reason
            raise Stop(0, f"SOCK_DESTROY answers: {reason}\n") from None
        return True

    def accepts(self, subject: Subject) -> bool:
        """Return whether the filter selects a socket."""
        return self.filter is None or holds(self.filter, subject, self.services.ephemeral)

    def interface(self, index: int) -> str:
        """Return the name of an interface; `if7` where there is none of that number."""
        known = self._interfaces.get(index)
        if known is None:
            import _socket

            try:
                known = printable(_socket.if_indextoname(index))
            except OSError:
                known = f"if{index}"
            self._interfaces[index] = known
        return known

    def cgroup(self, number: int) -> str:
        """Return the path of a cgroup; `unreachable:HEX` where it is gone."""
        if self._tree is None:
            from portside.system.cgroups import CgroupTree, find_root

            self._tree = CgroupTree(find_root())
        path = self._tree.path_of(number)
        return f"unreachable:{number:x}" if path is None else printable(path)

    def process(self, pid: int) -> str:
        """Return the name of a process, escaped; empty if it is gone."""
        return self._users.name(pid)

    def context(self, pid: int) -> str:
        """Return the SELinux context of a process, of the kernel for 0."""
        return self._users.context(pid)

    def end(
        self, family: int, raw: bytes, port: int, transport: str, v6only: bool = False, device: str = ""
    ) -> tuple[str, str]:
        """Return the two cells of one end of an IP socket: address with `:`, port or service."""
        if family != _AF_INET and not v6only and not any(raw):
            address = "*"
        else:
            address = self.services.host(raw)
            address = f"[{address}]" if ":" in address else address
        return f"{address}{'%' + device if device else ''}:", self.services.name(port, transport)

    def text(self, knob: str, name: str) -> str | None:
        """Return the text of the file that the environment names by `knob`, or PROC_ROOT/`name`, or /proc's.

        None where there is no such file.
        """
        return text(self.host, self.environ, knob, name)


def _nothing(inodes: Iterable[int]) -> None:
    """Nobody asks for holders."""


def _no_text(inode: int) -> str:
    return ""
