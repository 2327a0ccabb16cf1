"""Names of hosts, services and users, each looked up once; and the NAME column, which is made of them.

A repeated listing keeps what it knows of hosts and services; users are asked for anew in each round.
"""

from __future__ import annotations

import sys

from portside.faces.lsof.files import NONE, PROTOCOLS, TCP, UDP
from portside.faces.lsof.options import QUEUES, STATE
from portside.faces.lsof.tables import state_name
from portside.faces.lsof.text import safe
from portside.memo import Memo
from portside.ports.address import format_ipv4, format_ipv6
from portside.wire.inet_diag import AF_INET6, ntohs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.lsof.files import File
    from portside.faces.lsof.options import Options
    from portside.wire.inet_diag import Row

_ANY = bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"
_LOOPBACK = (b"\x7f\0\0\1", bytes(15) + b"\1")
_LOGIN = 32  # characters of a login that lsof shows
_NUMBER_WIDTH = 8  # of a user that has none


class Names:
    """Makes the texts of names as the options want them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._v4 = Memo(lambda raw: self._host(raw[:4]) + ":")
        self._v6 = Memo(lambda raw: self._host(raw[12:] if raw.startswith(_MAPPED) else raw) + ":")
        self._ports = [Memo(lambda raw, kind=kind: self._port(ntohs(raw), kind)) for kind in range(3)]
        self._near = self._ports  # of this host
        programs = _programs() if options.portmap else {}
        if programs:
            self._near = [
                Memo(lambda raw, kind=kind: self._registered(ntohs(raw), kind, programs)) for kind in range(3)
            ]
        self._services: dict[str, list[str]] | None = None
        self._tails = Memo(lambda state: f" ({state_name(state)})")
        self._logins: dict[int, str] = {}

    def forget_users(self) -> None:
        """Ask for users anew."""
        self._logins.clear()

    def internet(self, row: Row, kind: int) -> str:
        """Return both ends of an Internet socket."""
        sport, dport, src, dst = row[4:8]
        ends = self._v6 if row[0] == AF_INET6 else self._v4
        local = f"{ends[src]}{self._near[kind][sport]}" if sport or src != _ANY else ""
        if not dport and dst == _ANY:
            return local
        ports = self._ports[kind]
        if self._near is not self._ports and (src == dst or _is_loopback(dst)):
            ports = self._near[kind]
        return f"{local}->{ends[dst]}{ports[dport]}"

    def _host(self, raw: bytes) -> str:
        if not any(raw):
            return "*"
        if self._options.hosts:
            from portside.system.resolver import host_of

            name = host_of(raw)
            if name:
                return safe(name)
        return format_ipv4(raw) if len(raw) == 4 else f"[{format_ipv6(raw)}]"

    def _port(self, number: int, kind: int) -> str:
        if not number:
            return "*"
        if not self._options.services or kind not in (TCP, UDP):
            return str(number)
        if self._services is None:
            from portside.ports.etc_services import index_services
            from portside.system.services import read_services

            self._services = index_services(read_services())
        named = self._services.get(f"{number}/{PROTOCOLS[kind].lower()}")
        return safe(named[0]) if named else str(number)

    def _registered(self, number: int, kind: int, programs: dict[tuple[int, int], str]) -> str:
        """Return a port with the program that the port mapper knows there."""
        program = programs.get((kind, number))
        return f"{self._port(number, kind)}[{safe(program)}]" if program else self._port(number, kind)

    def of(self, file: File) -> str:
        """Return a file's name without its state, -E's additions included."""
        name = self.internet(file.row, file.kind) if file.row is not None else safe(file.name)
        return " ".join([*([name] if name else []), *map(safe, file.added)]) if file.added else name

    def plain(self, file: File) -> str:
        """Return the same unescaped, for a form that escapes by itself."""
        name = self.internet(file.row, file.kind) if file.row is not None else file.name
        return " ".join([*([name] if name else []), *(file.added or ())])

    def full(self, file: File) -> str:
        """Return what the NAME column shows of a file."""
        name = self.of(file)
        tell = self._options.tell
        if not tell or file.kind == NONE:
            return name
        if file.row is not None and tell == STATE:
            tail: str = self._tails[file.row[1]] if file.kind == TCP else " "
            return name + tail if name else tail[1:]
        told = self.connection(file)
        text = f"({' '.join(told)})" if told else ""
        return f"{name} {text}" if name else text

    def connection(self, file: File) -> list[str]:
        """Return what -T tells of a file: its state, then the queues."""
        tell, row = self._options.tell, file.row
        if row is None:
            return [file.state] if tell & STATE and file.state else []
        told = [state_name(row[1])] if tell & STATE and file.kind == TCP else []
        if tell & QUEUES:
            receive, send = queues(file)
            told += [f"QR={receive}", f"QS={send}"]
        return told

    def user(self, uid: int) -> str:
        """Return a user's login, empty where there is none or numbers are wanted."""
        if not self._options.logins:
            return ""
        if uid not in self._logins:
            import pwd  # not with -l

            try:
                self._logins[uid] = safe(pwd.getpwuid(uid).pw_name[:_LOGIN])
            except (KeyError, OverflowError):
                self._logins[uid] = ""
        return self._logins[uid]

    def user_column(self, uid: int) -> str:
        """Return a user for the USER column."""
        return self.user(uid) or f"{uid:>{_NUMBER_WIDTH}}"

    def warn_of_user(self, uid: int, times: int = 1) -> None:
        """Say that a user has no login, where that was wanted: lsof says it whenever it writes the number."""
        if self._options.logins and self._options.warnings and not self.user(uid):
            sys.stderr.write(f"lsof: no pwd entry for UID {uid}\n" * times)


def queues(file: File) -> tuple[int, int]:
    """Return the receive and the send queue; /proc/net tells no limit of a listener's."""
    row = file.row
    if row is None:
        return 0, 0
    listening = file.kind == TCP and row[1] == 10
    return row[11], 0 if listening else row[12]


def _is_loopback(raw: bytes) -> bool:
    return raw == _LOOPBACK[1] or (raw[:4] == _LOOPBACK[0] and not any(raw[4:]))


def _programs() -> dict[tuple[int, int], str]:
    """Return (protocol, port) -> program of what is registered with this host's port mapper."""
    from portside.system.portmap import registered

    kinds = {6: TCP, 17: UDP}
    found: dict[tuple[int, int], str] = {}
    for transport, port, program in registered():
        if transport in kinds:
            found.setdefault((kinds[transport], port), program)
    return found
