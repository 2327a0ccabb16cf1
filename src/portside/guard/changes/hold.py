"""What the holder of a way back does (`system/holder.py` starts it): wait, and go back unless the change is kept.

It reads nothing but the journal, so it needs neither the terminal nor the process that made the change; and it
takes the lock before it acts, so that a confirmation that comes in the same moment is either before or after.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.guard.changes import apply
from portside.guard.changes.change import APPLYING, UNDONE, WAITING
from portside.system import holder, journal

LOOK = 0.2  # seconds between two looks at the journal
PATIENCE = 600.0  # seconds for the lock: another change must not keep us from going back


def main(words: list[str]) -> None:
    """Hold the way back of the change whose number is the one word."""
    number = int(words[0])
    holder.announce()
    if not holder.await_maker():
        take_back(number, APPLYING, "the process that made it ended")
    _await_confirmation(number)


def _await_confirmation(number: int) -> None:
    while True:
        change = apply.read_changes().get(number)
        if change is None or change.state != WAITING:
            return
        left = change.deadline - journal.clock()
        if left <= 0:
            take_back(number, WAITING, "nobody confirmed it")
            return
        holder.sleep(min(left, LOOK))


def take_back(number: int, state: str, why: str) -> None:
    """Take the change back if it is still in that state; tried again while it fails."""
    for _ in range(3):
        try:
            with apply.open_journal(PATIENCE) as book:
                change = apply.changes_of(book).get(number)
                if change is None or change.state != state or not apply.take_back(book, change, UNDONE, why):
                    return
        except PortsideError:  # the journal cannot be read or locked
            pass
        holder.sleep(1.0)  # the journal says what failed; another tool may be at the same rules
