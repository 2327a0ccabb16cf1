"""`portside changes`: what we changed, what became of it."""

from __future__ import annotations

import time

from portside.cli.command import CSV, FOUND, NO_HEADER, NOTHING, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output
    from portside.guard.changes.change import Change

ARGUMENTS = (Argument(("-a", "--all"), "those taken back, failed and run out too"), NO_HEADER, CSV)
_PAST = ("undone", "failed", "expired", "gone")


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "-"


def run(arguments: SimpleNamespace, output: Output) -> int:
    """List the changes; exit 1 when there are none."""
    from portside.cli.changing import change_form
    from portside.cli.output import Column
    from portside.guard.changes.apply import in_force, standing

    changes = [one for one in in_force() if arguments.all or standing(one) not in _PAST]
    if output.json:
        output.envelope("changes", [change_form(change) for change in changes])
        return FOUND if changes else NOTHING

    def state(change: Change) -> str:
        return standing(change) + (f" ({change.why})" if change.why else "")

    columns = (
        Column("number", "N", lambda change: str(change.number), right=True),
        Column("change", "CHANGE", lambda change: str(change.wish), shrink=4),
        Column("through", "THROUGH", lambda change: change.manager),
        Column("state", "STATE", state, shrink=4),
        Column("made", "MADE", lambda change: _when(change.at), shrink=3),
        Column("until", "UNTIL", lambda change: _when(change.wish.until), shrink=3),
        Column("comment", "COMMENT", lambda change: change.wish.note, shrink=2),
    )
    draw = output.csv if arguments.csv else output.table
    if not changes:
        output.note(
            "no change of ours is in force" + ("" if arguments.all else "; --all has those of the past")
        )
        return NOTHING
    draw(changes, columns, header=not arguments.no_header)
    return FOUND


COMMAND = Command(
    "changes",
    "the changes we made to the firewall, and what became of them",
    ARGUMENTS,
    run,
    description="List the changes that are in force; with --all the others too.  Exit 1 when there are none.",
    examples="  portside changes\n  portside changes --all --json",
)
