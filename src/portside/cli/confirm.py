"""`portside confirm`: keep what was made with --confirm."""

from __future__ import annotations

from portside.cli.command import FOUND, NOTHING, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output


def run(_arguments: SimpleNamespace, output: Output) -> int:
    """Keep what waits; exit 1 when nothing does."""
    from portside.cli.changing import change_form
    from portside.guard.changes.apply import confirm

    kept = confirm()
    if output.json:
        output.envelope("changes", [change_form(change) for change in kept])
    for change in kept if not output.json else ():
        output.write(f"change {change.number} is kept: {output.clean(str(change.wish))}\n")
    if not kept:
        output.note("nothing waits for confirmation; see 'portside changes'")
    return FOUND if kept else NOTHING


COMMAND = Command(
    "confirm",
    "keep the changes that were made with --confirm",
    (),
    run,
    description="Keep what would be taken back at its deadline.  Exit 1 when nothing waits, or it is too late.",
    examples="  portside confirm",
)
