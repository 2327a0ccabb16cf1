"""`portside faces`: links by which ss, netstat, lsof and sockstat are Portside's."""

from __future__ import annotations

import os

from portside.cli.command import FOUND, NOTHING, Argument, Command
from portside.cli.output import Column
from portside.faces import FACES, links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.faces.links import Link

_WORDS = {
    links.MADE: "made", links.REPLACED: "replaced, it pointed elsewhere", links.THERE: "there already",
    links.REMOVED: "removed", links.KEPT: "kept: it is not a link of ours", links.ABSENT: "none of ours there",
}  # fmt: skip
_WOULD = _WORDS | {
    links.MADE: "would be made", links.REPLACED: "would be replaced", links.REMOVED: "would be removed",
}  # fmt: skip

FACE_COLUMNS = (
    Column("face", "FACE", lambda row: row["face"]),
    Column("program", "IN PATH", lambda row: row["program"] or "-"),
    Column("ours", "STARTS", lambda row: _starts(row)),
    Column("help", "WHAT IT IS", lambda row: row["help"], shrink=1),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """List the faces, or make or remove links in a directory; exit 1 where a link could not be had."""
    if not arguments.directory:
        return _list(output)
    from portside.errors import BadRequest

    if len(arguments.directory) > 1:
        raise BadRequest("link faces", "", f"one directory at a time, not {len(arguments.directory)}")
    directory = os.path.abspath(arguments.directory[0])
    target = "" if arguments.remove else links.find_command()
    planned = links.plan(directory, target, remove=arguments.remove)
    done = planned if arguments.dry_run else tuple(links.apply(link, target) for link in planned)
    _tell(done, target, arguments.dry_run, output)
    if arguments.remove:
        return FOUND if any(link.action == links.REMOVED for link in done) else NOTHING
    if not output.json:
        _hint(directory, done, output)
    return NOTHING if any(link.action == links.KEPT for link in done) else FOUND


def _list(output: Output) -> int:
    rows = [_row(face) for face in FACES]
    if output.json:
        output.envelope("faces", [row | {"program": row["program"] or None} for row in rows])
        return FOUND
    output.table(rows, FACE_COLUMNS)
    output.note("each runs as 'portside FACE ...'; 'portside faces DIR' makes links for them in a directory")
    return FOUND


def _row(face: str) -> dict[str, Any]:
    program = links.in_path(face)
    ours = bool(program) and links.starts_portside(program)
    return {"face": face, "help": FACES[face], "program": program, "ours": ours}


def _starts(row: dict[str, Any]) -> str:
    return "portside" if row["ours"] else "another program" if row["program"] else "-"


def _tell(done: tuple[Link, ...], target: str, dry_run: bool, output: Output) -> None:
    if output.json:
        items = [
            {"face": link.face, "path": link.path, "action": link.action, "done": not dry_run,
             "target": target or link.before or None}
            for link in done
        ]  # fmt: skip
        output.envelope("face-links", items)
        return
    words = _WOULD if dry_run else _WORDS
    columns = (
        Column("path", "LINK", lambda link: link.path),
        Column("action", "RESULT", lambda link: words[link.action]),
    )
    output.table(done, columns)


def _hint(directory: str, done: tuple[Link, ...], output: Output) -> None:
    """Say what PATH must be for a shell to find the links, and that it may remember others."""
    path = os.environ.get("PATH", "").split(os.pathsep)
    ours = [link for link in done if link.action != links.KEPT]
    if directory not in map(os.path.abspath, filter(None, path)):
        output.note(f'{directory} is not in PATH; put it first: export PATH="{directory}:$PATH"')
    elif any(links.in_path(link.face) not in ("", link.path) for link in ours):
        output.note(f'other programs come first in PATH; put it first: export PATH="{directory}:$PATH"')
    elif any(link.action == links.MADE for link in ours):
        output.note("a shell that ran the old programs remembers them until 'hash -r'")


COMMAND = Command(
    "faces",
    "run as ss, netstat, lsof, sockstat: list the faces, or make links of their names",
    (
        Argument(("directory",), "where to make the links; without it the faces are listed", "DIR", many="*"),
        Argument(("--remove",), "take our links in DIR away"),
        Argument(("--dry-run",), "say what would be done, and do nothing"),
    ),
    run,
    description=(
        "List the faces: the tools whose command line Portside takes and whose text it prints.  With a directory, "
        "make a link to this command there for each, named as the tool.  What is not a link of ours is never touched."
    ),
    examples="  portside faces\n  portside faces ~/bin\n  portside faces --remove ~/bin",
)
