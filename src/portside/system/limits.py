"""Limits that stop a new connection on this host: open files of this process and of the host, conntrack's table."""

from __future__ import annotations

import os

from portside.record import Record

_ENOUGH = 1 << 20  # no use for more descriptors; an unlimited hard limit is no number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.system.host import Host


class Use(Record):
    """How much of a limit is used; `limit` None where there is none, or where it cannot be read."""

    used: int
    limit: int | None
    hard: int | None = None


def open_files() -> Use:
    """Return the descriptors of this process, with its soft and hard limit (getrlimit(2), RLIMIT_NOFILE)."""
    import resource

    soft, hard = (
        None if one == resource.RLIM_INFINITY else one for one in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return Use(_descriptors(soft), soft, hard)


def _descriptors(limit: int | None) -> int:
    """Count this process's descriptors below the limit; where none is left to list them, all are in use."""
    try:
        numbers = os.listdir("/proc/self/fd")
        return (
            sum(limit is None or int(number) < limit for number in numbers) - 1
        )  # but the one that lists them
    except OSError:
        return limit or 0


def host_files(host: Host) -> Use:
    """Return the open files of the whole host and their limit (proc_sys_fs(5), file-nr)."""
    fields = host.read_or("/proc/sys/fs/file-nr").split()
    return Use(int(fields[0]), int(fields[2])) if len(fields) == 3 else Use(0, None)


def conntrack(host: Host) -> Use:
    """Return the entries of this namespace's connection tracking table; `limit` None where nothing is tracked."""
    count, most = (
        host.read_or(f"/proc/sys/net/netfilter/nf_conntrack_{name}").strip() for name in ("count", "max")
    )
    return Use(int(count), int(most)) if count.isdecimal() and most.isdecimal() else Use(0, None)


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open descriptors to the hard one, which takes no privilege; return what it is now."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):  # a lower ceiling than the hard limit tells (fs.nr_open)
            pass
    return _ENOUGH if soft == resource.RLIM_INFINITY else min(soft, _ENOUGH)
