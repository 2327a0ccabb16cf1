"""Every error Portside raises, split by what the caller can do about it.

One root, six children.  The text of each is `<operation> <object>: <reason>; <next step>`: lower case,
values quoted, no full stop.  What the kernel said stays on the error as `errno` and `extack`, so a program
need not read the text.
"""

from __future__ import annotations


class PortsideError(Exception):
    """Root of Portside's errors: what failed, on what, why, and what to do next."""

    def __init__(
        self,
        operation: str,
        subject: str = "",
        reason: str = "",
        next_step: str = "",
        *,
        errno: int | None = None,
        extack: str | None = None,
    ) -> None:
        self.operation = operation
        self.subject = subject
        self.reason = reason
        self.next_step = next_step
        self.errno = errno
        self.extack = extack
        super().__init__(operation, subject, reason, next_step)

    def __str__(self) -> str:
        text = f"{self.operation} {self.subject}".rstrip()
        if self.reason:
            text += f": {self.reason}"
        if self.extack:
            text += f" (the kernel adds: {self.extack})"
        if self.next_step:
            text += f"; {self.next_step}"
        return text


class NotPermitted(PortsideError):
    """The kernel or the host refused for want of a right; the next step names the sudo line."""


class NotSupported(PortsideError):
    """This kernel, platform or build cannot do it; another road may."""


class BadRequest(PortsideError):
    """What the caller asked for is malformed: a port spec, a filter, a flag."""


class BadReply(PortsideError):
    """What the kernel or a peer sent is truncated, inconsistent or not of the expected form."""


class Vanished(PortsideError):
    """The process, socket or namespace was there and is gone."""


class TimedOut(PortsideError):
    """The answer did not come in the time allowed."""
