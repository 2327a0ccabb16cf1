"""Errors in the C library's own words, as the tools print them."""

from __future__ import annotations

import os

from portside.errors import PortsideError


def reason(error: Exception) -> str:
    """Return what the C library says of an error, as err(3) and gai_strerror(3) word it."""
    cause = error.__cause__ if isinstance(error, PortsideError) else error
    if isinstance(cause, TimeoutError) and not cause.errno:
        return "timed out"
    said = getattr(cause, "strerror", None)
    if said:
        return str(said)
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(cause or error)
