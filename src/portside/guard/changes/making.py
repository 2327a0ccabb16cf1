"""From a decision to the change: decided anew, under the lock, where our changes are not those it was made beside.

A plan carries the number of its change in the comment of every rule, by which they are found again, and places its
rules among those of the changes before it.  It is made without the lock, because people read it; so another change
may come first, or go.
"""

from __future__ import annotations

from portside.guard.changes import apply, scene
from portside.guard.changes.decide import check, decide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portside.guard.changes.change import Change
    from portside.guard.changes.decide import Decision


def make(
    decision: Decision, *, confirm: float = 0.0, lasting: bool = False, insist: bool = False
) -> tuple[Decision, Change | None]:
    """Make the change; return what was decided in the end, and the change, None where nothing was done.

    Nothing is done where there is nothing to do or, unless somebody insists, where it is refused.  `confirm` and
    what is raised: see `apply.make`.
    """
    if not _stands(decision, insist):
        return decision, None
    with apply.open_journal() as book:
        apply.recover(book)
        known = apply.changes_of(book)
        if is_overtaken(decision, known):
            decision = decide(decision.wish, lasting=lasting, scene=scene.scene_with(known, decision.wish))
            if not _stands(decision, insist):
                return decision, None
        change = apply.make(
            book, decision.wish, decision.plan, own=decision.own, confirm=confirm, lasting=lasting,
            check=lambda: check(decision, insist=insist),
        )  # fmt: skip
        return decision, change


def is_overtaken(decision: Decision, known: Mapping[int, Change]) -> bool:
    """Whether our changes are others now than when it was decided: one more, or one that was taken back."""
    return decision.scene is None or tuple(known[number] for number in sorted(known)) != decision.scene.known


def _stands(decision: Decision, insist: bool) -> bool:
    return not decision.nothing and (insist or not decision.refusal)
