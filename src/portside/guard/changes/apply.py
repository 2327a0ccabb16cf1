"""Making changes: locked, written down first, by a process that can die at any moment.

The order is what makes it safe.  Under the lock: what others left unfinished is taken back, and the change is decided
anew if others came in between (`making.py`); the holder starts (`hold.py`); the change is written down as `applying`,
with its way back; the steps are run; the state becomes `kept`, or `waiting` until somebody confirms.  Whatever stops
us in between, the holder finds `applying` and takes it back; if it dies too, the next one who comes does.  The part
of our own table is not a list of steps: the table is made what the journal says (`own_table`), in one transaction, so
going back is making it without the change.
"""

from __future__ import annotations

import time

from portside.errors import BadRequest, PortsideError
from portside.guard.changes import blocked_sets, own_table, persist, plan, transition
from portside.guard.changes.change import (
    APPLYING,
    FAILED,
    KEPT,
    UNDONE,
    WAITING,
    Change,
    active,
    from_plain,
    to_plain,
)  # fmt: skip
from portside.guard.changes.transition import Transition
from portside.system import commands, files, journal
from portside.system.holder import Holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portside.guard.changes.plan import Plan, Step
    from portside.guard.changes.wish import Wish
    from portside.system.journal import Journal

NFT_LOAD = ("nft", "-f", "-")


def make(
    book: Journal,
    wish: Wish,
    how: Plan,
    *,
    own: bool,
    confirm: float = 0.0,
    lasting: bool = False,
    check: Callable[[], None] | None = None,
) -> Change:
    """Make a change and return it as it was written down.  The lock must be held since it was planned or looked over.

    `confirm` is how long it stands unless somebody confirms, in seconds.  `check` looks at the rules that are in
    force then, and raises where they do not do what was asked.  Raises what it or the failing step raised, with
    everything taken back.
    """
    change = Change(
        number=journal.next_number(book.records()), wish=wish, manager=how.manager, own=own, back=how.back,
        state=APPLYING, at=time.time(), boot=journal.boot_id(), network=journal.network(),
        deadline=journal.clock() + confirm if confirm else 0.0, lasting=lasting,
    )  # fmt: skip
    holder = Holder(change.number)
    try:
        _write(book, change)
        wanted = _own(book, change, True) if change.own else Transition()
        holder.await_ready()
        _load(wanted)
        _go(book, change, how.steps)
        if check is not None:
            check()
        made = change.replace(state=WAITING if confirm else KEPT)
        _write(book, made)
    except BaseException as error:
        failed = take_back(book, change, FAILED, str(error) or type(error).__name__)
        if failed and change.number in changes_of(book):
            raise PortsideError(
                "take back", f"change {change.number}", failed, "see 'portside changes'"
            ) from error
        raise
    finally:
        holder.release()
    return made


def confirm() -> list[Change]:
    """Keep what waits for confirmation, and return it."""
    with open_journal() as book:
        recover(book)
        waiting = [change for change in changes_of(book).values() if change.state == WAITING]
        kept = [change.replace(state=KEPT, deadline=0.0) for change in waiting]
        for change in kept:
            _write(book, change)
        return kept


def undo(number: int = 0) -> Change:
    """Take back the change of that number, or the last one in force; return it as it was.

    Raises BadRequest where there is none, or where it belongs to another network namespace.
    """
    with open_journal() as book:
        recover(book)
        known = changes_of(book)
        here = journal.network()
        if not number:
            own = [each for each in known.values() if each.network == here and each.state in (KEPT, WAITING)]
            if not own:
                raise BadRequest("undo", "", "no change of ours is in force", "see 'portside changes'")
            number = own[-1].number
        change = known.get(number)
        if change is None:
            raise BadRequest("undo", f"change {number}", "there is no such change", "see 'portside changes'")
        if change.state not in (KEPT, WAITING):
            raise BadRequest("undo", f"change {number}", f"it is {change.state} already")
        if change.network != here and change.boot == journal.boot_id():
            raise BadRequest(
                "undo", f"change {number}", "it was made in another network namespace", "run it there"
            )
        if failed := take_back(book, change, UNDONE):
            raise PortsideError("undo", f"change {number}", failed, "see 'portside changes'")
        return change


def in_force() -> list[Change]:
    """Return every change that was written down, oldest first, with those run out or lost told by `standing`."""
    return list(read_changes().values())


def standing(change: Change) -> str:
    """Return the word for what became of a change: its state, or `expired`, `gone` (with a reboot), `elsewhere`."""
    if change.state not in (KEPT, WAITING):
        return change.state
    if 0 < change.wish.until <= time.time():
        return "expired"
    if change.boot != journal.boot_id() and not change.lasting:
        return "gone"
    return change.state if change.network == journal.network() or change.lasting else "elsewhere"


def open_journal(patience: float = journal.PATIENCE) -> Journal:
    """Return the journal of changes, to be locked by `with`."""
    return journal.Journal(journal.place("changes"), patience=patience)


def read_changes() -> dict[int, Change]:
    """Return the changes that were written down, by number, without the lock."""
    return {number: from_plain(record) for number, record in journal.read(journal.place("changes")).items()}


def changes_of(book: Journal) -> dict[int, Change]:
    """Return the changes in a journal, by number."""
    return {number: from_plain(record) for number, record in book.records().items()}


def recover(book: Journal) -> list[Change]:
    """Take back what nobody finished and what nobody confirmed in time; return it.  The lock must be held."""
    found = []
    boot, network = journal.boot_id(), journal.network()
    for change in changes_of(book).values():
        late = change.state == WAITING and (change.boot != boot or journal.clock() >= change.deadline)
        if (change.state == APPLYING or late) and (change.network == network or change.boot != boot):
            take_back(book, change, UNDONE, "not finished" if change.state == APPLYING else "not confirmed")
            found.append(change)
    return found


def take_back(book: Journal, change: Change, state: str, why: str = "") -> str:
    """Undo a change and write down that it is; return what failed, empty if nothing did.  The lock must be held.

    Every step is tried, whatever becomes of the others.  After a failure the change keeps its state, so that the next
    one who comes tries again.  Rules that went with a reboot are not looked for.
    """
    failures: list[str] = []
    gone = change.boot != journal.boot_id() and not change.lasting
    if change.own and not gone:
        _try(failures, _restore, book, change)
    for step in change.back:
        if not (gone and isinstance(step, plan.Pull)):
            _try(failures, run_step, step)
    undone = change.replace(state=state, why=why)
    if failures:
        undone = change.replace(why=f"could not be taken back: {failures[0]}")
    _try(failures, _write, book, undone)
    if change.lasting and change.own:
        _try(failures, persist.write, _lasting(book))
    return failures[0] if failures else ""


def _go(book: Journal, change: Change, steps: Sequence[Step]) -> None:
    for step in steps:
        run_step(step)
    if change.lasting and change.own:
        persist.write(_lasting(book))


def _restore(book: Journal, change: Change) -> None:
    _load(_own(book, change, False))


def _own(book: Journal, change: Change, there: bool) -> Transition:
    """Return what makes our own table what the journal says, with the change or without it."""
    now, here = time.time(), (journal.boot_id(), journal.network())
    others = [from_plain(record) for number, record in book.records().items() if number != change.number]
    ordered = sorted((*others, change.replace(state=APPLYING)), key=lambda each: each.number)
    with_it, without = active(ordered, now, *here), active(others, now, *here)
    before, after = (without, with_it) if there else (with_it, without)
    return transition.between(before, after, now=int(now), exists=own_table.is_there())


def _load(found: Transition) -> None:
    """Make our own table what it is to be."""
    script = found.rest if found.many else found.script
    if script:
        commands.run(NFT_LOAD, script)
    if found.many:
        blocked_sets.add(found.added)


def _lasting(book: Journal) -> list[tuple[int, Wish]]:
    now, boot, network = time.time(), journal.boot_id(), journal.network()
    return active([each for each in changes_of(book).values() if each.lasting], now, boot, network)


def run_step(step: Step) -> None:
    """Do one step; what may fail is let fail."""
    try:
        if isinstance(step, plan.Run):
            commands.run(step.argv, step.input)
        elif isinstance(step, plan.Write):
            files.replace(step.path, step.content, step.mode)
        elif isinstance(step, plan.Drop):
            _drop(step)
        else:
            _pull(step)
    except PortsideError:
        if not (isinstance(step, plan.Run) and step.may_fail):
            raise


def _drop(step: plan.Drop) -> None:
    text = files.read_text(step.path)
    if text is not None and (rest := plan.without_lines(text, step.lines)) != text:
        files.replace(step.path, rest)


def _pull(step: plan.Pull) -> None:
    """Delete the rules of a chain that have the step's comment; where they are gone there is nothing to do."""
    import json

    where = (step.family, step.table, step.chain)
    try:
        listed = json.loads(commands.run(("nft", "-j", "list", "chain", *where)))
    except PortsideError as error:
        if "No such file" in error.reason:
            return
        raise
    except ValueError as error:
        raise PortsideError(
            "read chain", f"'{' '.join(where)}'", f"nft's JSON does not parse: {error}"
        ) from error
    rules = [item["rule"] for item in listed.get("nftables", []) if "rule" in item]
    lines = [
        f"delete rule {' '.join(where)} handle {rule['handle']}\n"
        for rule in rules
        if rule.get("comment") == step.comment
    ]
    if lines:
        commands.run(NFT_LOAD, "".join(lines))


def _write(book: Journal, change: Change) -> None:
    book.write(change.number, to_plain(change))


def _try(failures: list[str], action: Callable[..., None], *arguments: object) -> None:
    try:
        action(*arguments)
    except PortsideError as error:
        failures.append(str(error))
