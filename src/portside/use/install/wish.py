"""What is to be installed: a port, a program, and how the two come together.

`how`: PASSED, the manager binds the port and passes it (LISTEN_FDS), so that the program needs no right, also below
1024; INETD, the manager starts the program for each connection, which is its standard input and output; PROXY, the
program listens on a port of its own (`target`) and the manager's is forwarded there; OWN, the program binds it.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.record import Record

PASSED, INETD, PROXY, OWN = "passed", "inetd", "proxy", "own"
FIRST_UNPRIVILEGED = 1024

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Wish(Record):
    """What is wanted.  `command` begins with an absolute path; `address` empty means every one.

    `user` empty: whom the manager takes (systemd makes one up, others take nobody).  `directory`: where the program
    starts (empty: /).  `target` is `HOST:PORT` for PROXY.
    """

    port: int
    protocol: str
    command: tuple[str, ...]
    name: str
    how: str = PASSED
    address: str = ""
    user: str = ""
    directory: str = ""
    target: str = ""

    @property
    def privileged(self) -> bool:
        """Whether binding the port takes a right by default."""
        return self.port < FIRST_UNPRIVILEGED

    @property
    def title(self) -> str:
        """What the service is, in a line."""
        program = self.command[0].rpartition("/")[2]
        return f"{program} on port {self.port}/{self.protocol} (installed by portside)"


def default_name(port: int, protocol: str) -> str:
    """Return the name of a service that was given none."""
    return f"portside-{port}" + ("" if protocol == "tcp" else f"-{protocol}")


def check(wish: Wish) -> Wish:
    """Return the wish; raises BadRequest where it cannot be had by any manager."""
    if not wish.name or not _NAME.issuperset(wish.name) or wish.name.startswith("-") or len(wish.name) > 100:
        raise BadRequest("install", f"'{wish.name}'", "a name is made of letters, digits, '-' and '_'")
    if not wish.command or not wish.command[0].startswith("/"):
        raise BadRequest("install", wish.name, "the command must begin with a path", "write it behind --")
    for word in (*wish.command, wish.user, wish.directory, wish.address):
        if any(character in word for character in "\0\n\r"):
            raise BadRequest("install", wish.name, "a line break cannot be written into these files")
    if wish.how == PROXY and not wish.target:
        raise BadRequest("install", wish.name, "a proxy needs the address that the program listens on")
    return wish
