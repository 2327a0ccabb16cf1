"""What a way of probing is told, keeps count of, and is asked (see the package's docstring for the contract)."""

from __future__ import annotations

from portside.errors import BadRequest
from portside.probe.records import STATES
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from portside.probe.order import Left, Order
    from portside.probe.records import Result

    class Method(Protocol):
        """A way of probing at work on one order."""

        counters: Counters

        def batches(self) -> Iterator[list[Result]]:
            """Probe; yield what was learnt, a list at least every TICK seconds."""

        def left(self) -> Left:
            """Tell what is not decided now."""


METHODS = ("connect", "syn", "udp")
TICK = 0.2


class Options(Record):
    """How to probe.

    `timeout`: the longest wait for one answer in seconds (methods begin lower or higher as answers teach them).
    `retries`: further probes of a port that stays silent.  `rate`: probes per second, 0 adapts.  `limit`: the highest
    rate that adapting may reach, 0 without one.  `concurrency`: the most connections at once, 0 adapts.  `wanted`:
    the states that are told in records; the others are only counted.  `source` and `device`: address and interface
    to send from, empty for the routing table's choice.
    """

    timeout: float = 1.0
    retries: int = 2
    rate: float = 0.0
    limit: float = 0.0
    concurrency: int = 0
    wanted: frozenset[str] = frozenset(STATES)
    source: str = ""
    device: str = ""


class Counters:
    """How far a method is, kept up to date by it.

    `total` and `decided`: probes.  `sent`: attempts, retries included.  `retried`: attempts that were not the first.
    `answered`: attempts that had any answer; `late`: those of them that were not the first, which is what shows loss.
    `local`: attempts that failed here and were made again.  `dropped`: answers that the kernel threw away before they
    were read.  `states`: (state, reason) -> how many.  `notes`: what the user should know of how it went, each once,
    in words.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.decided = 0
        self.sent = 0
        self.retried = 0
        self.answered = 0
        self.late = 0
        self.local = 0
        self.dropped = 0
        self.states: dict[tuple[str, str], int] = {}
        self.notes: list[str] = []

    def decide(self, state: str, reason: str, times: int = 1) -> None:
        """Count probes that are decided."""
        self.decided += times
        self.states[state, reason] = self.states.get((state, reason), 0) + times

    def of_state(self, state: str) -> int:
        """Return how many probes are in a state."""
        return sum(times for (each, _), times in self.states.items() if each == state)

    def note(self, text: str) -> None:
        """Keep a note, once."""
        if text not in self.notes:
            self.notes.append(text)


def open_method(name: str, order: Order, options: Options, left: Left) -> Method:
    """Return the method of that name, ready to probe; NotPermitted, NotSupported where it cannot work here."""
    if name == "syn":
        from portside.probe.syn import Syn

        return Syn(order, options, left)
    if name == "connect":
        from portside.probe.connect import Connect

        return Connect(order, options, left)
    if name == "udp":
        from portside.probe.udp import Udp

        return Udp(order, options, left)
    raise BadRequest("scan", "", f"no method '{name}'", f"use one of {', '.join(METHODS)}")
