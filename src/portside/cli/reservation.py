"""A port of the ephemeral range kept for a service, and given back: `tune reserved`, for good where it can be."""

from __future__ import annotations

from portside.errors import PortsideError
from portside.see.tune import applying, changes, settings
from portside.system import netns

NAME = "reserved"


def reserve(port: int) -> str:
    """Keep a port back; return what to tell."""
    try:
        applying.carry_out(_plan(f"+{port}", applying.read_values()))
    except PortsideError as error:
        return _unchanged(error)
    return f"port {port} lies in the ephemeral range: it is reserved now"


def give_back(port: int) -> str:
    """Take a reservation back, the file's line too where it was the last change; return what to tell."""
    try:
        last = applying.find_undo(NAME)
        if last is not None and _plan(f"-{port}", {NAME: last.after}).after == last.before:
            applying.undo(last)
        else:
            applying.carry_out(_plan(f"-{port}", applying.read_values()))
    except PortsideError as error:
        return _unchanged(error)
    return f"port {port} is not reserved any more"


def _plan(words: str, values: dict[str, str]) -> changes.Change:
    return changes.plan(settings.find(NAME), words, values, persist=netns.is_of_init())


def _unchanged(error: PortsideError) -> str:
    return f"the reservation of the port could not be changed: {error}"
