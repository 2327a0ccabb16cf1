"""nc -U: Unix sockets, stream and (with -u) datagram.

What is in the way of a listener's path is removed first, as Debian's build does; the path stays when nc ends.  A
datagram client binds a path of its own, so that answers find it: -s names it, else it lies in a directory under /tmp
and is taken away at the end.
"""

from __future__ import annotations

import os
import stat

from portside.errors import PortsideError
from portside.faces.nc.words import Refused, reason, tell
from portside.use import sockets
from portside.use.netcat.datagrams import receiving_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from portside.faces.nc.options import Options


def address(options: Options, path: str) -> sockets.Address:
    """Return the address of a path, `@name` for an abstract one."""
    return sockets.unix_address(path, sockets.DATAGRAM if options.has("u") else sockets.STREAM)


def listen(options: Options, path: str) -> socket:
    """Return the bound socket, listening if it is a stream."""
    _make_way(path)
    made = sockets.listen(address(options, path), backlog=5)
    if options.has("v"):
        tell(f"Bound on {path}")
        if not options.has("u"):
            tell(f"Listening on {path}")
    return made


def _make_way(path: str) -> None:
    """Remove a socket that an earlier listener left; anything else stays and makes bind fail."""
    if path.startswith("@"):
        return
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except OSError:
        pass


class Client:
    """A connected Unix socket, and the path for its answers, from `with` to the end of the block."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._own = ""
        self._made_directory = False

    def __enter__(self) -> socket:
        options, path = self._options, self._options.host or ""
        if options.has("u"):
            self._made_directory = options.source is None
            self._own = options.source or receiving_path("nc-")
        try:
            made = sockets.connect(address(options, path), source=self._source())
        except PortsideError as error:
            self.__exit__()
            raise Refused(f"nc: {path}: {reason(error)}") from error
        if options.has("v") and self._own:
            tell(f"Bound on {self._own}")
        return made

    def _source(self) -> sockets.Address | None:
        if not self._own:
            return None
        _make_way(self._own)
        return address(self._options, self._own)

    def __exit__(self, *_: object) -> None:
        if self._own and not self._own.startswith("@"):
            _make_way(self._own)
        if self._made_directory:
            try:
                os.rmdir(os.path.dirname(self._own))
            except OSError:
                pass
