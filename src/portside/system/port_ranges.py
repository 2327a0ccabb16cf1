"""The calling thread's network namespace's own division of the ports: three sysctls (ip-sysctl.rst)."""

from __future__ import annotations

from portside.ports.number import HostRanges, parse_host_ranges

_DIRECTORY = "/proc/sys/net/ipv4/"


def read_host_ranges(root: str = "") -> HostRanges:
    """Return the ranges; a sysctl that cannot be read keeps the kernel's default.

    `root` stands before the path.  Raises BadReply for a text that is not of the kernel's form.
    """
    return parse_host_ranges(
        _read(root, "ip_local_port_range"),
        _read(root, "ip_unprivileged_port_start"),
        _read(root, "ip_local_reserved_ports"),
    )


def _read(root: str, name: str) -> str:
    try:
        with open(f"{root}{_DIRECTORY}{name}", encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
