r"""Line ends for the network: LF becomes CR LF, a CR LF that is one already stays.

A stream may be cut between the CR and the LF, so the last byte is remembered.
"""

from __future__ import annotations


class Crlf:
    """Translates the pieces of one stream."""

    def __init__(self) -> None:
        self._after_cr = False

    def translate(self, data: bytes) -> bytes:
        r"""Return a piece with every bare \n as \r\n."""
        if not data:
            return data
        first = b"" if not (self._after_cr and data[0] == 0x0A) else b"\n"
        self._after_cr = data[-1] == 0x0D
        rest = data[len(first) :]
        return first + rest.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
