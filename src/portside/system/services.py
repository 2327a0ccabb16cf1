"""The host's own list of service names, services(5)."""

from __future__ import annotations

SERVICES = "/etc/services"


def read_services(path: str = SERVICES) -> str:
    """Return the text of the host's services file, odd bytes kept as surrogates; empty if there is none to read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
