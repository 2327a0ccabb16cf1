"""Who is logged in on this host: utmp(5), else the sessions of systemd-logind."""

from __future__ import annotations

import os

from portside.errors import BadReply
from portside.wire.utmp import parse_session, parse_utmp

_UTMP = "/run/utmp"
_SESSIONS = "/run/systemd/sessions"


def logged_in(root: str = "") -> tuple[str, ...]:
    """Return the users, once for each login, in order; none where nothing tells."""
    try:
        with open(root + _UTMP, "rb") as file:
            return tuple(sorted(parse_utmp(file.read())))
    except (OSError, BadReply):
        return tuple(sorted(filter(None, _sessions(root + _SESSIONS))))


def _sessions(directory: str) -> list[str]:
    found = []
    try:
        for name in os.listdir(directory):
            if name.isalnum():  # NAME.ref is a pipe that keeps the session
                with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as file:
                    found.append(parse_session(file.read()))
    except OSError:
        pass
    return found
