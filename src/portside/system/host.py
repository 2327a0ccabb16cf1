"""Which machine is read, and by which roads: the one value every reader takes.

The default is the live host.  A test, or a program that looks at a recorded tree, passes another root for /proc,
another opener of netlink sockets (`portside.testing.FakeKernel().open`), or none at all.
"""

from __future__ import annotations

import os

from portside.record import Record
from portside.system.netlink import open_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.netlink import Opener


class Host(Record):
    """The roads into a machine.

    `root` stands before every path of a file that is read (empty: the live host), `procfs` in the place of /proc
    alone (empty: what `root` has there).  `netlink` opens a netlink socket; `None` leaves the text of /proc/net.
    `bpf` allows the eBPF road to owners.
    """

    root: str = ""
    netlink: Opener | None = open_socket
    bpf: bool = True
    procfs: str = ""

    @property
    def live(self) -> bool:
        """Whether this is the running machine, whose namespaces and processes can be entered and asked."""
        return not (self.root or self.procfs)

    @property
    def proc(self) -> str:
        """The directory that holds the processes."""
        return self.procfs or self.root + "/proc"

    def read(self, path: str) -> str:
        """Return the text of a small file under the root; odd bytes survive as surrogates; raises OSError."""
        # newline: a carriage return in a Unix socket's path is not the end of a line
        with open(self._placed(path), encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read()

    def _placed(self, path: str) -> str:
        """Return where a file stands that the running machine has at `path`."""
        if self.procfs and path.startswith("/proc/"):
            return self.procfs + path[len("/proc") :]
        return self.root + path

    def read_or(self, path: str, default: str = "") -> str:
        """Return the text of a small file, or `default` where it cannot be read."""
        try:
            return self.read(path)
        except OSError:
            return default

    def net(self, name: str) -> str:
        """Return the text of /proc/net/`name` in the calling thread's network namespace; raises OSError."""
        return self.read(self._net() + name)

    def net_exists(self, name: str) -> bool:
        """Whether there is a file of that name in /proc/net."""
        return os.path.isfile(self._placed(self._net() + name))

    def net_path(self, name: str) -> str:
        """Return the path that a file of /proc/net is known by."""
        return f"/proc/net/{name}"

    def _net(self) -> str:
        return "/proc/thread-self/net/" if self.live else "/proc/net/"

    def name(self) -> str:
        """Return the host's name."""
        return os.uname().nodename if self.live else self.read_or("/proc/sys/kernel/hostname", "?").strip()


LIVE = Host()
