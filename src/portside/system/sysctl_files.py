"""The files that set sysctls at boot, in the order of `sysctl --system`: by file name, /etc/sysctl.conf last.

Of files of one name the first directory's counts, and an empty one or a link to /dev/null masks the others.

Reference: sysctl(8), --system; sysctl.d(5) has no /etc/sysctl.conf.
"""

from __future__ import annotations

import os

from portside.system.files import read_small

DIRECTORIES = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
OURS = "/etc/sysctl.d/99-zz-portside.conf"  # behind Debian's link 99-sysctl.conf
LAST = "/etc/sysctl.conf"


def read_all(root: str = "") -> list[tuple[str, str]]:
    """Return (path without the root, text) of each file in the order in which they apply."""
    names: dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in _list(root + directory):
            if name.endswith(".conf"):
                names.setdefault(name, f"{directory}/{name}")
    paths = [names[name] for name in sorted(names)] + [LAST]
    return [(path, read(path, root)) for path in paths]


def read(path: str, root: str = "") -> str:
    """Return a file's text, empty where there is none to read."""
    try:
        return read_small(root + path).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _list(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
