"""The end of a run: what was asked for and not found, said with -V, and the exit code that follows from it."""

from __future__ import annotations

from portside.faces.lsof.given import STATES
from portside.faces.lsof.text import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.lsof.given import Id
    from portside.faces.lsof.options import Options
    from portside.faces.lsof.selection import Found


def not_found(options: Options, found: Found) -> Iterator[str]:
    """Yield a line for everything that was not found, in lsof's order; an excluded command never counts as found."""
    for at, command in reversed([*enumerate(options.commands)]):
        if at not in found.commands:
            yield f"command not located: {safe(command.name)}"
    for at, pattern in enumerate(options.patterns):
        if at not in found.patterns:
            yield f"no command found for regex: {safe(pattern.text)}"
    for name in reversed(options.names):
        if name not in found.names:
            yield f"no file use located: {safe(name)}"
    hit = {options.addresses[at].argument for at in found.addresses}
    for argument in dict.fromkeys(one.argument for one in reversed(options.addresses)):
        if argument not in hit:
            yield f"Internet address not located: {safe(argument)}"
    if options.net and not found.net:
        yield "no Internet files located"
    for number in sorted(options.states - found.states):
        yield f"TCP state not located: {STATES[number]}"
    if options.nfs:
        yield "no NFS files located"
    for one in _missing(options.pids, found.pids):
        yield f"process ID not located: {one.number}"
    if options.tasks and not found.task:
        yield "no tasks located"
    for one in _missing(options.groups, found.groups):
        yield f"process group ID not located: {one.number}"
    for one in _missing(options.users, found.users):
        yield (
            f"login name (UID {one.number}) not located: {safe(one.name)}"
            if one.name
            else f"user ID not located: {one.number}"
        )


def _missing(ids: list[Id], found: set[int]) -> list[Id]:
    return [one for one in ids if not one.excluded and one.number not in found]
