"""An open file as lsof lists it, and the processes that hold them.

`kind` is what lsof calls the type of a connection: 0 TCP, 1 UDP, 2 UDP-Lite, for a Unix socket its socket type, -1
for files that have none.  Everything that is written of an Internet socket is in its `row`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.tasks import Task
    from portside.wire.inet_diag import Row

TCP, UDP, UDPLITE, NONE = 0, 1, 2, -1
PROTOCOLS = ("TCP", "UDP", "UDPLITE")


class File:
    """One descriptor that is a socket.

    `device` is what the DEVICE column has (`number` if it is a device's number), `protocol` what stands in NODE,
    where the inode does if it is empty.  `bits` are those of the selection, `added` what -E adds to the name.
    """

    __slots__ = (
        "added", "bits", "descriptor", "device", "flags", "inode", "kind", "marked", "name", "number", "protocol",
        "row", "state", "type",
    )  # fmt: skip

    def __init__(
        self, descriptor: int, type: str, inode: int, bits: int, kind: int = NONE, protocol: str = "",
        row: Row | None = None, name: str = "", device: str = "", state: str = "",
    ) -> None:  # fmt: skip
        self.descriptor = descriptor
        self.type = type
        self.inode = inode
        self.bits = bits
        self.kind = kind
        self.protocol = protocol
        self.row = row
        self.name = name
        self.device = device
        self.state = state
        self.number = 0
        self.flags: int | None = None
        self.added: list[str] | None = None
        self.marked = False

    @property
    def fd(self) -> str:
        """The descriptor as lsof writes it: four digits, or a star and the last three."""
        return f"{self.descriptor:>4}" if self.descriptor < 10000 else f"*{self.descriptor % 1000:03}"


class Holder:
    """A process, or a thread of it, with those of its files that may be listed."""

    __slots__ = ("bits", "files", "task")

    def __init__(self, task: Task, bits: int, files: list[File]) -> None:
        self.task = task
        self.bits = bits
        self.files = files
