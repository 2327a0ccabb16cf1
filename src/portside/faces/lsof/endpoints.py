"""-E and +E: who is at the other end of a connection within this host; +E lists those files too.

Unix sockets are paired by what unix_diag tells of peers and of who waits to be accepted, Internet sockets in state
ESTABLISHED by their two ends, within one family and protocol.  As in lsof an end has one partner, the first that
fits.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.lsof.files import File, Holder
    from portside.faces.lsof.options import Options
    from portside.faces.lsof.selection import Selection
    from portside.faces.lsof.tables import Tables

_ESTABLISHED = 1


class Endpoints:
    """The partners of all sockets, and who holds them."""

    def __init__(self, holders: list[Holder], tables: Tables, options: Options) -> None:
        self._options = options
        self._holders = holders
        self._partner = _internet_partners(tables)
        self._peer, self._waiting = _unix_partners(tables)
        self._held: dict[int, list[tuple[Holder, File]]] = {}
        for holder in reversed(holders):  # the last found is told first
            for file in reversed(holder.files):
                self._held.setdefault(file.inode, []).append((holder, file))

    def tell(self, selection: Selection) -> None:
        """Add the other ends to the names of the files that are listed; with +E list the others' files as well."""
        follow = self._options.endpoints == 2
        for file in self._files():
            if selection.lists(file.bits):
                self._add(file, [*self._of_unix(file, listed=True), *self._of_internet(file)], follow)
        if not follow:
            return
        for file in self._files():
            if file.marked and not selection.lists(file.bits):
                file.bits = selection.flags
                self._add(file, [*self._of_unix(file, listed=False), *self._of_internet(file)], False)

    def _files(self) -> Iterator[File]:
        for holder in self._holders:
            yield from holder.files

    def _of_internet(self, file: File) -> list[int]:
        partner = self._partner.get(file.inode) if file.row is not None else None
        return [partner] if partner else []

    def _of_unix(self, file: File, listed: bool) -> list[int]:
        """Return the peer of a Unix socket and, of a listener, the first of those that wait."""
        if file.type != "unix":
            return []
        peer, waiting = self._peer.get(file.inode), self._waiting.get(file.inode)
        found = [peer] if peer else []
        return [*found, waiting] if waiting and (listed or not found) else found

    def _add(self, file: File, inodes: list[int], follow: bool) -> None:
        for inode in inodes:
            told = [f"->INO={inode}"] if file.type == "unix" else []
            for holder, other in self._held.get(inode, ()):
                name = holder.task.name[: self._options.width]
                told.append(f"{holder.task.pid},{name},{other.fd.lstrip()}u")
                other.marked = other.marked or follow
            file.added = (file.added or []) + told


def _internet_partners(tables: Tables) -> dict[int, int]:
    """Pair the established sockets of one protocol and family, the last read first; each has one partner."""
    partner: dict[int, int] = {}
    ends: dict[tuple[object, ...], list[int]] = {}
    connected = [(kind, row) for kind, row in reversed(tables.order) if row[1] == _ESTABLISHED and row[14]]
    for kind, row in connected:
        family, sport, dport, src, dst = row[0], *row[4:8]
        ends.setdefault((kind, family, src, sport, dst, dport), []).append(row[14])
    for kind, row in connected:
        family, sport, dport, src, dst = row[0], *row[4:8]
        if row[14] not in partner:
            free = (one for one in ends.get((kind, family, dst, dport, src, sport), ()) if one not in partner)
            other = next(free, None)
            if other is not None:
                partner[row[14]], partner[other] = other, row[14]
    return partner


def _unix_partners(tables: Tables) -> tuple[dict[int, int], dict[int, int]]:
    """Return inode -> peer, and listener -> the first that waits to be accepted by it."""
    peers: dict[int, int] = {}
    waiting: dict[int, int] = {}
    for inode, (_, told) in tables.unix.items():
        peer = told.get("peer")
        if isinstance(peer, int) and peer in tables.unix:
            peers.setdefault(inode, peer)
            peers.setdefault(peer, inode)
        icons = told.get("icons")
        for one in icons if isinstance(icons, list | tuple) else ():
            if one in tables.unix:
                waiting.setdefault(inode, one)
    return peers, waiting
