"""Kernel settings under /proc/sys, by their sysctl(8) name; those of `net` are the calling thread's namespace's own.

Reference: sysctl(8), Documentation/networking/ip-sysctl.rst, Documentation/admin-guide/sysctl/net.rst.
"""

from __future__ import annotations

import errno

from portside.errors import BadRequest, NotSupported
from portside.system.netlink import from_os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.host import Host


def path_of(name: str) -> str:
    """Return the file of a setting: `net.ipv4.ip_local_port_range` -> /proc/sys/net/ipv4/ip_local_port_range."""
    return "/proc/sys/" + name.replace(".", "/")


def read(host: Host, name: str) -> str | None:
    """Return a setting's text as the kernel writes it, stripped; None where there is none of that name.

    Raises NotPermitted where it may not be read.
    """
    try:
        return host.read(path_of(name)).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_os(error, "read", f"'{name}'") from error


def read_or_none(host: Host, path: str) -> str | None:
    """Return a setting's text by its path below /proc/sys (a name may hold dots), None where it cannot be read."""
    text = host.read_or(f"/proc/sys/{path}").strip()
    return text or None


def write(host: Host, name: str, value: str) -> None:
    """Set a setting; raises NotPermitted, BadRequest (the kernel refuses the value), NotSupported (there is none)."""
    try:
        with open(host.root + path_of(name), "w") as file:
            file.write(f"{value}\n")  # an empty value would be no write at all
    except FileNotFoundError:
        raise NotSupported(
            "set", f"'{name}'", "this kernel, or this network namespace, has no such setting"
        ) from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ERANGE):
            raise BadRequest(
                "set", f"'{name}' to '{value}'", "the kernel refuses this value", errno=error.errno
            ) from None
        raise from_os(error, "set", f"'{name}' to '{value}'") from error
