"""A port of the ephemeral range kept for a service, and given back: `tune reserved`, for good where it can be."""

from __future__ import annotations

from portside.errors import PortsideError
from portside.see.tune import applying, changes, settings
from portside.system import netns


def reserve(port: int) -> str:
    """Keep a port back; return what to tell."""
    return _change(f"+{port}", f"port {port} lies in the ephemeral range: it is reserved now")


def give_back(port: int) -> str:
    """Take a reservation back; return what to tell."""
    return _change(f"-{port}", f"port {port} is not reserved any more")


def _change(words: str, told: str) -> str:
    try:
        values = applying.read_values()
        change = changes.plan(settings.find("reserved"), words, values, persist=netns.is_of_init())
        applying.carry_out(change)
    except PortsideError as error:
        return f"the reservation of the port could not be changed: {error}"
    return told
