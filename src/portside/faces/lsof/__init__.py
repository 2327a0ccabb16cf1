"""The lsof face: the network half of lsof 4.95, byte for byte, and the JSON of its newer versions.

`parsing` makes `options` of `words` (`given`, `addresses`: the values), `selection` says which processes and
files are meant, `gather` finds them in what `tables`, `others` and `holders` read, `endpoints` adds the other ends,
`names` makes the texts, `table`, `fields` and `document` draw, `verdict` ends.  What it does otherwise is listed in
docs/comparison.md.  Reference: lsof(8) 4.95.0.
"""

from __future__ import annotations

import sys
import time

from portside.errors import PortsideError
from portside.faces.lsof.options import marker
from portside.faces.lsof.parsing import parse
from portside.faces.lsof.text import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.faces.lsof.files import Holder
    from portside.faces.lsof.names import Names
    from portside.faces.lsof.options import Options
    from portside.faces.lsof.selection import Selection

_TOGETHER = 4096  # pieces written at once
_MARK = "======="


def main(words: list[str]) -> int:
    """Run lsof with these words and return its exit code: 0, or 1 for an error and for what was not found."""
    options = parse(words)
    _say(options.said)
    if options.wrong or options.help or options.field_help or options.version:
        return _explain(options)
    if options.refused:
        return 1
    from portside.faces.lsof.selection import Selection

    selection = Selection(options)
    if not selection.flags and options.every:
        return _wrong(options, "no select options to AND via -a")
    if options.not_tcp and (options.net or options.addresses):
        return _wrong(options, "-i is useless when -X is specified.")
    missing, refusal = _names(options, selection, words)
    _say([*missing, *refusal])
    if refusal or (missing and not options.names):
        return 1
    try:
        code = _run(options, selection)
    except PortsideError as error:
        _say([safe(str(error))])
        return 1
    return 1 if missing else code


def _names(options: Options, selection: Selection, words: list[str]) -> tuple[list[str], list[str]]:
    """Return what is to be said of named files that are not there, and of a listing that cannot be had."""
    from portside.faces.lsof.selection import check_names

    missing, refusal = check_names(options)
    if not refusal and selection.refusal():
        refusal = f"`{safe(' '.join(['lsof', *words]))}` {selection.refusal()}"
    return missing, [refusal] if refusal else []


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"lsof: {line}", file=sys.stderr)


def _wrong(options: Options, said: str) -> int:
    _say([said])
    options.wrong = True
    return _explain(options)


def _explain(options: Options) -> int:
    """Say what follows an error, or what was asked for about lsof itself."""
    from portside.faces.lsof import usage

    told = usage.USAGE if options.wrong else ""
    if options.wrong and not options.help:
        told += usage.MORE
    told += usage.HELP if options.help else ""
    told += usage.field_help() if options.field_help else ""
    if options.version and (options.help or options.field_help or not options.wrong):
        told += usage.version()
    sys.stderr.write(told)
    return int(options.wrong)


def _run(options: Options, selection: Selection) -> int:
    """List once, or again and again."""
    from portside.faces.lsof.gather import OtherFile
    from portside.faces.lsof.names import Names
    from portside.faces.lsof.verdict import not_found

    names = Names(options)
    rounds, some = 0, False
    while True:
        try:
            listed = _round(options, selection, names)
        except OtherFile as error:
            _say([str(error)])
            return 1
        rounds += 1
        if not options.delay or (options.until_empty and not listed):
            break
        some = some or bool(listed)
        _mark(options)
        if rounds == options.rounds:
            break
        time.sleep(options.delay)
        names.forget_users()
    missing = [*not_found(options, selection.found)]
    if options.verbose:
        sys.stdout.write("".join(f"lsof: {line}\n" for line in missing))
    failed = bool(missing) and options.search_fails
    return int(failed or (options.until_empty and not some))


def _round(options: Options, selection: Selection, names: Names) -> int:
    """List once; return how many processes had something to list."""
    from portside.faces.lsof.gather import Gathering

    gathering = Gathering(options, selection)
    holders = gathering.holders()
    if options.endpoints:
        from portside.faces.lsof.endpoints import Endpoints

        Endpoints(holders, gathering.tables, options).tell(selection)
    holders = _listed(holders, selection)
    pieces: list[str] = []
    for piece in _draw(holders, options, names):
        pieces.append(piece)
        if len(pieces) == _TOGETHER:
            sys.stdout.write("".join(pieces))
            pieces.clear()
    sys.stdout.write("".join(pieces))
    return len(holders)


def _listed(holders: list[Holder], selection: Selection) -> list[Holder]:
    """Return the holders with the files that are listed alone."""
    for holder in holders:
        holder.files = [file for file in holder.files if selection.lists(file.bits)]
    return [holder for holder in holders if holder.files]


def _draw(holders: list[Holder], options: Options, names: Names) -> Iterable[str]:
    if options.terse:
        return [f"{pid}\n" for pid in dict.fromkeys(holder.task.pid for holder in holders)]
    if options.document:
        from portside.faces.lsof.document import document

        return document(holders, options, names)
    if options.fields is not None:
        from portside.faces.lsof.fields import fields

        return fields(holders, options, names)
    from portside.faces.lsof.table import table

    return table(holders, options, names)


def _mark(options: Options) -> None:
    """Write the line between two rounds; JSON has none."""
    line = marker(options)
    if options.fields is not None and not options.document:
        sys.stdout.write(f"m{line}{options.end}" + ("\n" if options.end != "\n" else ""))
    elif not options.document:
        sys.stdout.write((line or _MARK) + "\n")
    sys.stdout.flush()
