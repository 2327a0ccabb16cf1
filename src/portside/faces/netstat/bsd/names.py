"""Names of hosts and ports as BSD's netstat shows them unless -n is given."""

from __future__ import annotations

from portside.faces import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.faces.netstat.bsd.options import Options
    from portside.ports.number import HostRanges
    from portside.system.host import Host


class Names:
    """Turns addresses and ports into what is printed; each name is looked up once."""

    def __init__(self, options: Options, host: Host) -> None:
        self._host = host
        self._numeric_addresses = options.numeric_addresses
        self._numeric_ports = options.numeric_ports
        self._services: dict[str, list[str]] | None = None
        self._ranges: HostRanges | None = None
        self._hosts: dict[str, str] = {"*": "*"}

    def host(self, address: str) -> str:
        """Return the name of a host, its domain left out where it is this host's; the address where it has none."""
        if self._numeric_addresses or not self._host.live:
            return address
        if address not in self._hosts:
            from portside.system.hostnames import host_name, own_domain

            name = host_name(address.partition("%")[0])
            domain = own_domain()
            if domain and name.lower().endswith(f".{domain}"):
                name = name[: -len(domain) - 1]
            self._hosts[address] = printable(name) or address
        return self._hosts[address]

    def service(self, port: int, protocol: str) -> str:
        """Return what /etc/services calls a port, empty where it does not."""
        if self._numeric_ports or not port:
            return ""
        if self._services is None:
            from portside.ports.etc_services import index_services

            self._services = index_services(self._host.read_or("/etc/services"))
        return printable(self._services.get(f"{port}/{protocol}", [""])[0])

    def chosen_by_kernel(self, port: int) -> bool:
        """Whether a port is one that the kernel hands out: such a number stands for no service."""
        if self._numeric_ports:
            return False
        if self._ranges is None:
            from portside.system.port_ranges import read_host_ranges

            self._ranges = read_host_ranges(self._host.root)
        return self._ranges.is_ephemeral(port)
