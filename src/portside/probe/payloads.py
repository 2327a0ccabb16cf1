"""What is sent to a UDP port: a service that answers only to its own language is asked in it.

The questions are those of `probe.identify`, made from the documents they cite.  A port that has none gets an empty
datagram: closed ports answer with ICMP to anything.
"""

from __future__ import annotations

from portside.probe.identify import datagrams, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.probe.identify.question import Question, Service

QUESTIONS = (*names.UDP, *datagrams.UDP)


def by_port() -> dict[int, tuple[Question, ...]]:
    """Return the questions of each port that has any."""
    table: dict[int, list[Question]] = {}
    for question in QUESTIONS:
        for port in question.ports:
            table.setdefault(port, []).append(question)
    return {port: tuple(questions) for port, questions in table.items()}


def recognise(data: bytes, asked: tuple[Question, ...]) -> Service | None:
    """Return the service that an answer shows, by the readers of what was asked; None if it is none of those."""
    for question in asked:
        found = question.read(data)
        if found is not None:
            return found
    return None
