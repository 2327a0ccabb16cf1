"""The locale that this program was started in.

Python makes UTF-8 of the C locale (PEP 538 sets LC_CTYPE, PEP 540 decodes by itself); a face that writes as a C
program does must know what the user chose.  The environment as it was is in /proc/self/environ (proc_pid_environ(5)).
"""

from __future__ import annotations

ENVIRONMENT = "/proc/self/environ"
_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")


def is_utf8() -> bool:
    """Whether characters outside ASCII are UTF-8 in the locale the user chose."""
    from _locale import CODESET, LC_CTYPE, nl_langinfo, setlocale

    if nl_langinfo(CODESET) != "UTF-8":
        return False
    return setlocale(LC_CTYPE) not in _COERCED or _chosen()


def _chosen() -> bool:
    """Whether the environment we were started in names a locale for characters: one that is left out is C."""
    try:
        with open(ENVIRONMENT, "rb") as file:
            given = dict(word.partition(b"=")[::2] for word in file.read().split(b"\0"))
    except OSError:
        return True
    name = given.get(b"LC_ALL") or given.get(b"LC_CTYPE") or given.get(b"LANG") or b"C"
    return name not in (b"C", b"POSIX") and b"utf" in name.lower()
