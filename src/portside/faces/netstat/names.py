"""Names of hosts, ports and users as netstat finds them, each looked up once."""

from __future__ import annotations

from portside.faces import printable
from portside.ports.address import format_ipv4, format_ipv6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.netstat.options import Options
    from portside.system.host import Host

_MAPPED = bytes(10) + b"\xff\xff"


class Names:
    """Turns addresses, ports and uids into what is printed."""

    def __init__(self, options: Options, host: Host) -> None:
        self._options = options
        self._host = host
        self._hosts: dict[tuple[bytes, bool], str] = {}
        self._services: dict[str, dict[int, str]] | None = None
        self._users: dict[int, str] = {}

    def host(self, raw: bytes, numeric: bool | None = None) -> str:
        """Return a host's name, its address without one or where `numeric` (default: -n) asks for it."""
        key = raw, self._options.numeric_hosts if numeric is None else numeric
        known = self._hosts.get(key)
        if known is None:
            known = self._hosts[key] = self._find(*key)
        return known

    def _find(self, raw: bytes, numeric: bool) -> str:
        text = format_ipv4(raw) if len(raw) == 4 else format_ipv6(raw)
        if not numeric:
            if not any(raw):
                return text if len(raw) == 4 else "[::]"
            from portside.system.hostnames import host_name

            text = printable(host_name(text)) or text
        return text.rpartition(":")[2] if raw.startswith(_MAPPED) and "." in text else text

    def port(self, number: int, transport: str) -> str:
        """Return a service's name, its number without one; `transport` is tcp, udp or raw (names of protocols)."""
        if not number:
            return "*"
        if self._options.numeric_ports:
            return str(number)
        if self._services is None:
            self._services = self._read_services()
        return self._services[transport].get(number, str(number))

    def _read_services(self) -> dict[str, dict[int, str]]:
        """Read both lists; of several entries for one number the last counts (lib/inet.c, add2list)."""
        from portside.ports.etc_services import parse_services

        names: dict[str, dict[int, str]] = {"tcp": {}, "udp": {}, "raw": {}}
        for name, port, transport, *_ in parse_services(self._host.read_or("/etc/services")):
            if transport in names:
                names[transport][port] = printable(name)
        for line in self._host.read_or("/etc/protocols").splitlines():
            fields = line.partition("#")[0].split()
            if len(fields) > 1 and fields[1].isascii() and fields[1].isdecimal():
                names["raw"][int(fields[1])] = printable(fields[0])
        return names

    def network(self, raw: bytes) -> str:
        """Return what /etc/networks calls an IPv4 network, empty where it does not (networks(5))."""
        wanted = format_ipv4(raw)
        for line in self._host.read_or("/etc/networks").splitlines():
            fields = line.partition("#")[0].split()
            if len(fields) > 1 and f"{fields[1]}{'.0' * (3 - fields[1].count('.'))}" == wanted:
                return printable(fields[0])
        return ""

    def user(self, uid: int) -> str:
        """Return a user's name, the uid without one or with -n."""
        if self._options.numeric_users:
            return str(uid)
        if uid not in self._users:
            import pwd

            try:
                self._users[uid] = printable(pwd.getpwuid(uid).pw_name)
            except (KeyError, OverflowError):
                self._users[uid] = str(uid)
        return self._users[uid]
