"""What several commands take, from typed text to values."""

from __future__ import annotations


def typed_port(text: str) -> tuple[int, str]:
    """Turn `8080`, `https` or `53/udp` into a number and a transport (empty: any)."""
    if text.isascii() and text.isdigit() and len(text) <= 5:
        return int(text), ""
    from portside.ports.registry import Registry
    from portside.ports.spec import parse_port
    from portside.system.services import read_services

    return parse_port(text, Registry(read_services()))
