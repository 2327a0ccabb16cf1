"""A machine of which some files were recorded, as the environment names them for ss.

    PROC_ROOT=DIR           stands in the place of /proc: tables, holders, names of processes
    PROC_NET_TCP=FILE, ...  a single file of /proc (each reader knows its own variable)

Everything else is the running machine's: netlink sockets, interfaces, /etc.  Reference: misc/ss.c of iproute2.
"""

from __future__ import annotations

from portside.system.host import LIVE, Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PROC_ROOT = "PROC_ROOT"


def host_from_environment(environ: Mapping[str, str]) -> Host:
    """Return the host whose /proc is PROC_ROOT; the running machine where that is not set."""
    root = environ.get(PROC_ROOT)
    return LIVE if root is None else Host(procfs=root.rstrip("/") or "/", bpf=False)


def read_text(host: Host, environ: Mapping[str, str], knob: str, name: str) -> str | None:
    """Return the text of the file that `knob` names, else of the host's /proc/`name`; None where there is none.

    Of the running machine, `net/...` is that of the calling thread's network namespace.  Odd bytes survive as
    surrogates.
    """
    given = environ.get(knob)
    try:
        if given is not None:
            with open(given, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                return file.read()
        if host.live and name.startswith("net/"):
            return host.net(name.removeprefix("net/"))
        return host.read(f"/proc/{name}")
    except OSError:
        return None


def process_name(host: Host, pid: int) -> str:
    """Return the name of a process as its stat file tells it, of which a recording may hold the beginning alone.

    Empty where there is none.
    """
    text = host.read_or(f"/proc/{pid}/stat")
    opening, closing = text.find("("), text.rfind(")")
    return text[opening + 1 : closing] if 0 < opening < closing else ""
