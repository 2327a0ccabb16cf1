"""Who is logged in: the records of utmp(5), and the session files of systemd-logind where there is no utmp."""

from __future__ import annotations

import struct

from portside.errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# struct utmp, bits/utmp.h of glibc: type, pid, line, id, user, host, exit status, session, time, address, reserve
_RECORD = struct.Struct("=hxxi32s4s32s256shhiii16s20x")
USER_PROCESS = 7


def parse_utmp(data: bytes) -> Iterator[str]:
    """Yield the user of each login; raises BadReply where the file ends within a record."""
    if len(data) % _RECORD.size:
        raise BadReply("read utmp", "", f"{len(data)} bytes are no whole number of records of {_RECORD.size}")
    for kind, _pid, _line, _id, user, *_ in _RECORD.iter_unpack(data):
        if kind == USER_PROCESS:
            yield user.split(b"\0")[0].decode("utf-8", "surrogateescape")


def parse_session(text: str) -> str:
    """Return the user of one file of /run/systemd/sessions, empty if it is no user's session."""
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    return found.get("USER", "") if found.get("CLASS", "user") == "user" else ""
