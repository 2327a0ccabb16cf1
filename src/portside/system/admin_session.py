"""By which connection we are administered: whoever changes a firewall over it must not cut it.

sshd tells its children by SSH_CONNECTION (client address and port, server address and port; ssh(1)).  sudo and su
take it out of the environment, so the environments of our ancestors are read too.
"""

from __future__ import annotations

import os

from portside.record import Record

_DEEP = 64  # ancestors looked at


class Session(Record):
    """One administrative connection: who came from where, to which address and port of this host."""

    client: str
    client_port: int
    server: str
    server_port: int

    def __str__(self) -> str:
        return f"{self.client} to {self.server} port {self.server_port}"


def find(root: str = "/proc", pid: int = 0) -> Session | None:
    """Return the SSH connection that we, or an ancestor of ours, came by; None where there is none to be seen."""
    found = parse(os.environ.get("SSH_CONNECTION", "")) if not pid else None
    pid = pid or os.getppid()
    for _ in range(_DEEP):
        if found is not None or pid <= 1:
            break
        found = parse(_from_environment(f"{root}/{pid}/environ"))
        pid = _parent(f"{root}/{pid}/stat")
    return found


def parse(text: str) -> Session | None:
    """Return the session that a value of SSH_CONNECTION tells, None where it is none."""
    words = text.split()
    if len(words) != 4 or not (words[1].isdecimal() and words[3].isdecimal()):
        return None
    return Session(words[0].partition("%")[0], int(words[1]), words[2].partition("%")[0], int(words[3]))


def _from_environment(path: str) -> str:
    try:
        with open(path, "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return ""
    mark = b"SSH_CONNECTION="
    return next((os.fsdecode(entry[len(mark) :]) for entry in entries if entry.startswith(mark)), "")


def _parent(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
