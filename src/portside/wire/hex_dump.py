"""Bytes as lines of hexadecimal and text, sixteen a line, as Ncat (--hex-dump) and traditional nc (-o) write them."""

from __future__ import annotations


def lines(data: bytes) -> str:
    """Return the dump of one piece; offsets start at nought."""
    return "".join(_line(place, data[place : place + 16]) for place in range(0, len(data), 16))


def _line(place: int, piece: bytes) -> str:
    left = "".join(f"{one:02x} " for one in piece[:8])
    right = "".join(f"{one:02x} " for one in piece[8:])
    text = "".join(chr(one) if 32 < one < 127 else "." for one in piece)
    return f"{place:04x}   {left + ' ' + right:<49} {text:<16}\n"


class Directed:
    """Lines that say which way each piece went, `>` out and `<` in, with an offset for each way."""

    def __init__(self) -> None:
        self._offsets = {True: 0, False: 0}

    def lines(self, data: bytes, sent: bool) -> str:
        """Return the dump of one piece."""
        start = self._offsets[sent]
        self._offsets[sent] = start + len(data)
        return "".join(
            f"{'>' if sent else '<'} {start + place:08x} {_directed(data[place : place + 16])}\n"
            for place in range(0, len(data), 16)
        )


def _directed(piece: bytes) -> str:
    return f"{piece.hex(' '):<47} # {''.join(chr(one) if 31 < one < 127 else '.' for one in piece)}"
