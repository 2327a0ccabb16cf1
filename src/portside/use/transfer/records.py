"""What a transfer tells while it goes on, and when it is over."""

from __future__ import annotations

from portside.record import Record


class Progress(Record):
    """How far one file is: bytes done of all, and how many of them an earlier try had brought.

    `checking`: what that try had brought is read, and `size` is how much that is.
    """

    path: str
    done: int
    size: int
    resumed: int = 0
    checking: bool = False


class Transferred(Record):
    """A transfer that is over: where it went, how many files and bytes, the last file's SHA-256.

    `confirmed`: the other side has compared every checksum and said so.  It is not where that was a plain netcat.
    `resumed` are bytes that an earlier try had brought, `skipped` what could not be sent (sockets, say), with why.
    `truncated`: the TLS of a plain netcat ended without close_notify, as Ncat's does, and as it does where somebody
    on the way has cut it off.
    """

    path: str
    files: int
    size: int
    sha256: str
    confirmed: bool
    seconds: float
    resumed: int = 0
    skipped: tuple[str, ...] = ()
    truncated: bool = False
