"""Which systemd socket unit made a listening socket that pid 1 (or a `systemd --user`) holds.

Rule: asked only when such a socket is seen.  First `systemctl show '*.socket'` with a short timeout; where there is
no systemctl, or it does not answer, the unit files: those that are enabled (linked from a `.wants` or `.requires`
directory) or known to run.  With neither, nothing is known and `find` returns `None`: the owner is still pid 1.

Parsing is in `portside.wire.systemd`.  Reference: systemctl(1), systemd.unit(5) "unit file load path", sd_booted(3).
"""

from __future__ import annotations

import os

from portside.errors import PortsideError
from portside.system import commands
from portside.system.files import read_small
from portside.wire import systemd as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROPERTIES = "Id,Listen,Triggers,ActiveState,BindIPv6Only"
SYSTEMCTL = "/usr/bin/systemctl"  # not through PATH, which is the caller's
TIMEOUT = 2.0  # seconds: systemctl answers in 10-30 ms, or the manager is stuck

# Unit load path, the first that has a file wins; drop-ins are taken from all.
SYSTEM_PATHS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
USER_PATHS = (  # after the user's own, see _user_paths
    "/etc/systemd/user",
    "/run/systemd/user",
    "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user",
    "/lib/systemd/user",
)
BOOTED = "/run/systemd/system"  # exists where systemd is the init system
RUNNING = (
    "/run/systemd/units"  # a link `invocation:UNIT` stands here while a unit that started a process runs
)


class SocketUnits:
    """The socket units of the system manager, or of one user's (`uid`); read once, when first asked."""

    def __init__(
        self, root: str = "", *, uid: int | None = None, systemctl: Sequence[str] = (SYSTEMCTL,)
    ) -> None:
        self.root = root.rstrip("/")
        self._uid = uid
        self._systemctl = systemctl
        self._units: tuple[wire.SocketUnit, ...] | None = None

    def units(self) -> tuple[wire.SocketUnit, ...]:
        """Return every socket unit that listens, as far as known."""
        if self._units is None:
            shown = self._ask()
            found = wire.parse_show(shown) if shown else tuple(self._from_files())
            self._units = tuple(unit for unit in found if unit.active is not False)
        return self._units

    def find(self, type: str, address: str, port: int = 0) -> wire.SocketUnit | None:
        """Return the unit that listens on an address: `type` as in `Socket.type`, a path as address for Unix.

        An exact match wins; then a unit that listens on every address at that port.
        """
        loose = None
        for unit in self.units():
            for listen in unit.listens:
                if listen.type != type or listen.port != port:
                    continue
                if listen.address == address:
                    return unit
                if listen.wildcard and address in wire.ANY:
                    loose = loose or unit
        return loose

    def _ask(self) -> str:
        """Return what systemctl says, or an empty text."""
        if not os.path.isdir(self.root + BOOTED) or self._uid not in (None, os.geteuid()):
            return ""  # another user's manager: to ask it would open a session for that user
        whose = ("--user",) if self._uid is not None else ()
        asked = ("show", "--no-pager", f"--property={PROPERTIES}", "*.socket")
        try:
            return commands.run((*self._systemctl, *whose, *asked), timeout=TIMEOUT)
        except PortsideError:
            return ""

    def _from_files(self) -> Iterator[wire.SocketUnit]:
        paths = SYSTEM_PATHS if self._uid is None else _user_paths(self._uid)
        for name in sorted(set(self._enabled(paths)) | set(self._running())):
            unit = self._load(name, paths)
            if unit:
                yield unit

    def _enabled(self, paths: Sequence[str]) -> Iterator[str]:
        for top in paths:
            for directory in self._list(top):
                if directory.endswith((".wants", ".requires")):
                    for name in self._list(f"{top}/{directory}"):
                        if name.endswith(".socket"):
                            yield name

    def _running(self) -> Iterator[str]:
        top = RUNNING if self._uid is None else f"/run/user/{self._uid}/systemd/units"
        for name in self._list(top):
            if name.startswith("invocation:") and name.endswith(".socket"):
                yield name.removeprefix("invocation:")

    def _load(self, name: str, paths: Sequence[str]) -> wire.SocketUnit | None:
        """Read a unit, or the template it is an instance of, with its drop-ins; `None` if masked or missing."""
        stem, at, _ = name.removesuffix(".socket").partition("@")
        names = [name, f"{stem}@.socket"] if at else [name]
        for file in names:
            for top in paths:
                path = f"{self.root}{top}/{file}"
                if os.path.lexists(path):
                    if os.path.islink(path) and os.readlink(path) == "/dev/null":
                        return None
                    texts = [self._read(path), *self._drop_ins(names, paths)]
                    return wire.socket_unit(name, wire.parse_unit_file(*texts))
        return None

    def _drop_ins(self, names: Sequence[str], paths: Sequence[str]) -> list[str]:
        """Read the `.d/*.conf` files: by file name, the first directory wins for files of one name."""
        found: dict[str, str] = {}
        for top in paths:
            for directory in (*(f"{name}.d" for name in names), "socket.d"):
                for file in self._list(f"{top}/{directory}"):
                    if file.endswith(".conf"):
                        found.setdefault(file, f"{self.root}{top}/{directory}/{file}")
        return [self._read(found[file]) for file in sorted(found)]

    def _list(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self.root + path))
        except OSError:
            return []

    def _read(self, path: str) -> str:
        """Read a unit file; an absolute link is followed below the root."""
        if os.path.islink(path) and os.readlink(path).startswith("/"):
            path = self.root + os.readlink(path)
        try:
            return read_small(path).decode("utf-8", "surrogateescape")
        except OSError:
            return ""


def _user_paths(uid: int) -> tuple[str, ...]:
    """Return the load path of a user manager: the user's own directories first."""
    import pwd

    try:
        home = [f"{pwd.getpwuid(uid).pw_dir}/.config/systemd/user"]
    except KeyError:
        home = []
    return (*home, f"/run/user/{uid}/systemd/user", *USER_PATHS)
