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


def seconds(text: str) -> float:
    """Turn text into a number of seconds above 0; raises ValueError."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number of seconds") from None
    if not 0 < number <= 1e9:
        raise ValueError(f"'{text}' is not a number of seconds above 0")
    return number


def count(text: str) -> int:
    """Turn text into a whole number above 0; raises ValueError."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):
        raise ValueError(f"'{text}' is not a whole number above 0")
    return int(text)
