"""`portside undo [N]`: take a change back."""

from __future__ import annotations

from portside.cli.command import FOUND, Argument, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise ValueError(f"'{text}' is not the number of a change; see 'portside changes'")
    return int(text)


ARGUMENTS = (
    Argument(("number",), "the change's number (the last one in force)", "N", many="?", convert=_number),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Take the change back."""
    from portside.cli.changing import change_form
    from portside.guard.changes.apply import undo

    change = undo(arguments.number or 0)
    if output.json:
        output.envelope("changes", [change_form(change.replace(state="undone"))])
    else:
        output.write(f"change {change.number} is taken back: {output.clean(str(change.wish))}\n")
    return FOUND


COMMAND = Command(
    "undo",
    "take a change back: exactly ours, nothing else",
    ARGUMENTS,
    run,
    description="Take a change back, the last one in force without a number.  Nothing of anybody else's is touched.",
    examples="  portside undo\n  portside undo 7",
)
