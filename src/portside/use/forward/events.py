"""What a forwarder tells: of each connection when it is over, and of what befalls listeners and targets."""

from __future__ import annotations

from portside.record import Record

LISTENING = "listening"
OVER = "over"  # a connection, or the datagrams of one peer, have ended
REFUSED = "refused"  # a connection was not taken
FAILED = "failed"  # no target could be reached
TARGET_UP, TARGET_DOWN = "target up", "target down"
TROUBLE = "trouble"  # something is wrong that does not end the forwarder
RELOADED = "reloaded"
DRAINING = "draining"


class Event(Record):
    """What happened: `kind` is one of the words above.

    Of connections: the `protocol`, the `client` and its `target`, bytes `received` from the client and `sent` to it,
    `seconds` it took, and the `reason` it is over.
    """

    kind: str
    listen: str
    protocol: str = ""
    client: str = ""
    target: str = ""
    received: int = 0
    sent: int = 0
    seconds: float = 0.0
    reason: str = ""


class Counters:
    """Counts of one listener since it began: connections (UDP: peers) and bytes of those that are over."""

    __slots__ = ("failed", "received", "refused", "sent", "taken")

    def __init__(self) -> None:
        self.taken = self.refused = self.failed = self.received = self.sent = 0


class Statistics(Record):
    """The counters of one listener at one moment; `open` is how many connections there are now."""

    listen: str
    open: int
    taken: int
    refused: int
    failed: int
    received: int
    sent: int
