"""A made-up machine for tests of the command line: sockets, processes, users, services."""

from __future__ import annotations

import functools
from pathlib import Path

import portside.guard.seam
import portside.see.api
import portside.see.services
import portside.see.snapshot
from portside.cli import main
from portside.system.host import Host
from portside.testing import FakeKernel, FakeProc, FakeSocket, FakeUnix

COMMAND = ["/usr/bin/web", "--name", "a,b", 'say "hi"', "two\nlines"]
PROTOCOLS = ("tcp", "udp", "udplite", "raw", "sctp", "mptcp")
SOCKETS = [
    FakeSocket("tcp", "listen", ("0.0.0.0", 80), inode=101, uid=33, receive=2, send=128, v6only=None),
    FakeSocket("tcp", "listen", ("::", 80), inode=102, uid=33, receive=0, send=128, v6only=True),
    FakeSocket("tcp", "listen", ("127.0.0.1", 8080), inode=103, uid=0, receive=5, send=5),
    FakeSocket("tcp", "listen", ("192.168.0.2", 9000), inode=104, uid=0, send=16),
    FakeSocket("tcp", "bound-inactive", ("127.0.0.1", 10000), inode=105),
    FakeSocket("udp", "unconnected", ("::", 53), inode=106, v6only=False),
    FakeSocket("udp", "established", ("127.0.0.1", 40000), ("127.0.0.1", 53), inode=107),
    FakeSocket("tcp", "established", ("192.168.0.2", 9000), ("198.51.100.7", 40001), inode=108, receive=7),
    FakeSocket("tcp", "established", ("192.168.0.2", 9000), ("198.51.100.7", 40002), inode=109),
    FakeSocket("tcp", "established", ("192.168.0.2", 9000), ("198.51.100.8", 40003), inode=0),
    FakeSocket("tcp", "time-wait", ("192.168.0.2", 9000), ("198.51.100.7", 40009), inode=0),
]
UNIX = [FakeUnix(b"/run/web.sock", 201), FakeUnix(b"\0abstract", 202, type=2, state=7)]


def make(directory: Path) -> Host:
    """Write the tree and return the host."""
    proc = FakeProc(directory / "proc")
    proc.process(1, "init")
    proc.process(
        90, "web", uid=33, cmdline=COMMAND, exe="/usr/bin/web", sockets={3: 101, 4: 102}, start_ticks=500
    )
    proc.process(91, "web", ppid=90, uid=33, cmdline=COMMAND, exe="/usr/bin/web", sockets={3: 101, 4: 102})
    proc.process(100, "a) b\x1b[31m", sockets={5: 103}, cgroup="0::/system.slice/app.service")
    proc.process(1200, "api", ppid=90, sockets={6: 104, 7: 108, 8: 109, 9: 105})
    proc.process(13, "resolver", sockets={3: 106, 4: 201, 5: 202})
    proc.process(200, "client", sockets={3: 107})
    for name, text in (
        ("passwd", "root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n"),
        ("services", "api 9000/tcp\n"),
    ):
        path = directory / "etc" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    kernel = FakeKernel(SOCKETS, UNIX, protocols=PROTOCOLS)
    return Host(root=str(directory), netlink=kernel.open, bpf=False)


def install(monkeypatch, host: Host) -> None:
    """Have the commands read `host`."""
    for module, name in (
        (portside.see.snapshot, "take"),
        (portside.see.services, "service_names"),
        (portside.see.api, "take_port"),
        (portside.guard.seam, "judge"),
    ):
        monkeypatch.setattr(module, name, functools.partial(getattr(module, name), host=host))


class Run:
    """One run of the command line, in this process."""

    def __init__(self, capsys, *words: str) -> None:
        self.code = main(list(words))
        self.out, self.err = capsys.readouterr()
        self.lines = self.out.splitlines()
