"""A fake /proc: a directory with the files of processes as the kernel writes them, to test readers of /proc.

    proc = FakeProc(tmp_path / "proc")
    proc.process(42, "nginx", uid=33, cmdline=["nginx", "-g", "daemon off;"], sockets={6: 12345})
    proc.net("tcp", "  sl  local_address ...")
    ProcessReader(proc.root).read(42)

Only what Portside reads is written.  The owner of a process's directory is its uid where the caller may set it
(root), else the caller: a reader that trusts the directory's owner then sees the caller's uid.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STATUS = """Name:\t{name}
Umask:\t0022
State:\t{state} (fake)
Tgid:\t{pid}
Ngid:\t0
Pid:\t{pid}
PPid:\t{ppid}
TracerPid:\t0
Uid:\t{uid}\t{uid}\t{uid}\t{uid}
Gid:\t{gid}\t{gid}\t{gid}\t{gid}
FDSize:\t64
NSpid:\t{nspid}
Threads:\t{threads}
"""


class FakeProc:
    """A directory to pass as the root of /proc; `btime` is the boot time in seconds since the epoch."""

    def __init__(self, directory: str | os.PathLike[str], btime: int = 1_700_000_000) -> None:
        self.root = os.fspath(directory)
        os.makedirs(self.root, exist_ok=True)
        self.write("stat", f"cpu  1 2 3 4 5 6 7 0 0 0\nintr 0\nctxt 1\nbtime {btime}\nprocesses 99\n")

    def process(
        self,
        pid: int,
        comm: str = "fake",
        *,
        ppid: int = 1,
        uid: int = 0,
        gid: int = 0,
        state: str = "S",
        cmdline: Sequence[str] | None = None,
        cgroup: str = "0::/",
        exe: str = "",
        start_ticks: int = 100,
        session: int | None = None,
        threads: int = 1,
        nspids: Sequence[int] = (),
        kernel_thread: bool = False,
        sockets: Mapping[int, int] | None = None,
        files: Mapping[int, str] | None = None,
    ) -> str:
        """Add a process and return its directory.

        `cgroup` is the text of its cgroup file (lines `id:controllers:path`); `sockets` maps descriptors to socket
        inodes, `files` descriptors to other targets.
        """
        group = pid if session is None else session
        flags = 0x00200040 if kernel_thread else 0x00400100
        counters = f"0 0 0 0 3 4 0 0 20 0 {threads} 0 {start_ticks} 4096 100"
        self.write(f"{pid}/stat", f"{pid} ({comm}) {state} {ppid} {group} {group} 0 -1 {flags} {counters}\n")
        values = {"pid": pid, "ppid": ppid, "uid": uid, "gid": gid, "state": state, "threads": threads}
        name = comm.replace("\\", "\\\\").replace("\n", "\\n")
        nspid = "\t".join(map(str, nspids or [pid]))
        self.write(f"{pid}/status", _STATUS.format(name=name, nspid=nspid, **values))
        self.write(f"{pid}/comm", comm + "\n")
        arguments = [comm] if cmdline is None and not kernel_thread else cmdline or []
        self.write(f"{pid}/cmdline", "".join(argument + "\0" for argument in arguments))
        self.write(f"{pid}/cgroup", cgroup.rstrip("\n") + "\n")
        if exe:
            os.symlink(exe, self.path(f"{pid}/exe"))
        os.makedirs(self.path(f"{pid}/fd"))
        os.makedirs(self.path(f"{pid}/task/{pid}"))
        for fd, target in {
            **{fd: f"socket:[{n}]" for fd, n in (sockets or {}).items()},
            **(files or {}),
        }.items():
            os.symlink(target, self.path(f"{pid}/fd/{fd}"))
        if uid and os.geteuid() == 0:
            os.chown(self.path(str(pid)), uid, gid)
        return self.path(str(pid))

    def net(self, name: str, text: str) -> None:
        """Write `net/NAME`, as of the reader's network namespace."""
        self.write(f"net/{name}", text)

    def remove(self, pid: int) -> None:
        """End a process: its directory is no more."""
        import shutil

        shutil.rmtree(self.path(str(pid)))

    def write(self, name: str, text: str) -> None:
        """Write any other file; odd bytes in `text` are surrogates (PEP 383)."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)

    def path(self, name: str) -> str:
        """Return the path of a file of the tree."""
        return os.path.join(self.root, name)
