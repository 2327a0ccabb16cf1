"""The same settings on FreeBSD: the names of its sysctls, and the commands that set them.

Portside changes nothing there: it prints what to run.  Times are milliseconds there.

Reference: ip(4), tcp(4), listen(2), sysctl.conf(5); sys/netinet/in_pcb.c, tcp_timer.c, sys/kern/uipc_socket.c.
"""

from __future__ import annotations

from portside.errors import NotSupported
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.see.tune.settings import Setting


class Name(Record):
    """One sysctl of FreeBSD, its default there, and what a canonical value becomes."""

    sysctl: str
    default: str
    value: Callable[[str], str]


def _same(value: str) -> str:
    return value


def _milliseconds(value: str) -> str:
    return str(int(value) * 1000)


NAMES: dict[str, tuple[Name, ...]] = {
    "ephemeral": (
        Name("net.inet.ip.portrange.first", "10000", lambda value: value.partition("-")[0]),
        Name("net.inet.ip.portrange.last", "65535", lambda value: value.partition("-")[2]),
    ),
    "unprivileged": (
        Name("net.inet.ip.portrange.reservedhigh", "1023", lambda value: str(max(int(value) - 1, 0))),
    ),
    "keepalive": (Name("net.inet.tcp.keepidle", "7200000", _milliseconds),),
    "keepalive-interval": (Name("net.inet.tcp.keepintvl", "75000", _milliseconds),),
    "keepalive-probes": (Name("net.inet.tcp.keepcnt", "8", _same),),
    "fin-timeout": (Name("net.inet.tcp.finwait2_timeout", "60000", _milliseconds),),
    "somaxconn": (Name("kern.ipc.soacceptqueue", "128", _same),),
}


_LACKING = {
    "reserved": ("FreeBSD keeps no ports back from its range", "set the range: portside tune ephemeral A-B"),
    "syn-backlog": (
        "FreeBSD bounds its SYN cache at boot alone", "net.inet.tcp.syncache.cachelimit in /boot/loader.conf",
    ),
}  # fmt: skip


def commands(setting: Setting, value: str) -> tuple[str, ...]:
    """Return the sysctl(8) commands that set a canonical value; raises NotSupported where there is no such setting.

    The same assignments, without the first word, go into /etc/sysctl.conf to last.
    """
    names = NAMES.get(setting.name)
    if names is None:
        raise NotSupported("tune", f"'{setting.name}'", *_LACKING[setting.name])
    return tuple(f"sysctl {name.sysctl}={name.value(value)}" for name in names)
