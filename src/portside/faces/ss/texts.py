"""Texts of the running kernel and files that the command line names, read with next to nothing imported."""

from __future__ import annotations

import sys

from portside.faces.ss.context import Stop
from portside.system.host import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WRONG = 255


def host_of(environ: Mapping[str, str]) -> Host:
    """Return the machine that is read: the running one, with PROC_ROOT in the place of /proc."""
    root = environ.get("PROC_ROOT")
    return Host(procfs=root.rstrip("/") or "/") if root is not None else Host()


def text(host: Host, environ: Mapping[str, str], knob: str, name: str) -> str | None:
    """Return the text of the file that the environment names by `knob`, or of `name` below /proc; None without it."""
    try:
        if knob not in environ and name.startswith("net/"):
            return host.net(name[len("net/") :])
        path = environ.get(knob) or f"{host.proc}/{name}"
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read()
    except OSError:
        return None


def lines(path: str | None) -> Iterator[str]:
    """Yield the lines of the file of -F, `-` for standard input; nothing without one."""
    if path is None:
        return
    if path.startswith("-"):
        yield from sys.stdin
        return
    try:
        file = open(path, encoding="utf-8", errors="surrogateescape", newline="\n")  # noqa: SIM115
    except OSError as error:
        raise Stop(_WRONG, f"fopen filter file: {error.strerror}\n") from None
    with file:
        yield from file
