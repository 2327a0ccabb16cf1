"""Bytes as lines of hexadecimal and text, sixteen a line, as Ncat's --hex-dump writes them."""

from __future__ import annotations


def lines(data: bytes) -> str:
    """Return the dump of one piece; offsets start at nought."""
    return "".join(_line(place, data[place : place + 16]) for place in range(0, len(data), 16))


def _line(place: int, piece: bytes) -> str:
    left = "".join(f"{one:02x} " for one in piece[:8])
    right = "".join(f"{one:02x} " for one in piece[8:])
    text = "".join(chr(one) if 32 < one < 127 else "." for one in piece)
    return f"{place:04x}   {left + ' ' + right:<49} {text:<16}\n"
