"""systemctl(1): whether systemd runs here, and the lines that portside has it do."""

from __future__ import annotations

import os

from portside.system import systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def booted(root: str = "") -> bool:
    """Whether systemd is the init system (sd_booted(3))."""
    return os.path.isdir(root + systemd.BOOTED)


def command(words: Sequence[str], user: int | None = None) -> tuple[str, ...]:
    """Return the command line as a person would type it; `user` is whose manager is meant (None: the system's).

    Root reaches another user's manager through systemd-machined's names (`--machine=UID@.host`, systemd 248).
    """
    if user is None:
        return ("systemctl", *words)
    machine = () if user == os.geteuid() else (f"--machine={user}@.host",)
    return ("systemctl", "--user", *machine, *words)
