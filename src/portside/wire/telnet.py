"""Telnet's option negotiation, refused: every DO is answered WONT, every WILL is answered DONT.

Bytes in, the bytes to answer out; a sequence may be cut anywhere between two calls.  What the peer sends is looked
at, not taken out of the stream: the netcats let it through.  Reference: RFC 854, RFC 855.
"""

from __future__ import annotations

IAC, DONT, DO, WONT, WILL = 255, 254, 253, 252, 251
_ANSWERS = {WILL: DONT, WONT: DONT, DO: WONT, DONT: WONT}


class Refuser:
    """Refuses every option that is offered or asked for."""

    def __init__(self) -> None:
        self._held = b""

    def answer(self, data: bytes) -> bytes:
        """Return what to send back for the bytes that just came, empty for nothing."""
        data = self._held + data
        answers = bytearray()
        place = data.find(IAC)
        while place >= 0:
            if place + 1 >= len(data) or (data[place + 1] in _ANSWERS and place + 2 >= len(data)):
                self._held = data[place:]
                return bytes(answers)
            verb = data[place + 1]
            if verb in _ANSWERS:
                answers += bytes((IAC, _ANSWERS[verb], data[place + 2]))
            place = data.find(IAC, place + (3 if verb in _ANSWERS else 2))
        self._held = b""
        return bytes(answers)
