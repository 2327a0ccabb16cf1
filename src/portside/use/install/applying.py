"""Carries a plan to install a service out, keeps a record of it, and takes all of it, and only that, away again.

Nothing that is there is overwritten: a file of the same name that is not ours is an error.  The record is in the
journal before the first file is written; a step that fails takes everything back that was done before it.  A file
that somebody changed since is left where it is, and told.
"""

from __future__ import annotations

import os

from portside.errors import BadReply, BadRequest, PortsideError
from portside.record import Record
from portside.system import commands, files, journal
from portside.system.journal import Journal
from portside.use.install.plan import File, Line, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from portside.use.install.plan import Command

    Runner = Callable[[Command], str]


class Installed(Record):
    """What was installed: on which port, by which plan, and whether the port was reserved for it.

    For a unit that was there before (`unit`), the plan's `disable` is what makes it as it was.
    """

    port: int
    protocol: str
    plan: Plan
    reserved: bool = False
    unit: str = ""


class Removed(Record):
    """What became of an uninstall: files taken away, files left because they were changed, commands that failed."""

    gone: tuple[str, ...]
    kept: tuple[str, ...]
    failed: tuple[str, ...]


def install(wanted: Installed, root: str = "", run: Runner = commands.run) -> None:
    """Write the files, check them, switch the service on; `root` stands before every path that is written.

    Raises BadRequest where the port or a file is taken by something else, TimedOut where something else is being
    installed, and what a step raised, after taking back what was done.
    """
    with Journal(place(root)) as book:
        _check_free(wanted, _of_journal(book.records()), root)
        number = book.add(_to_json(wanted))
        enabling = False
        try:
            _write_files(wanted.plan, root, run)
            enabling = True
            for command in wanted.plan.enable:
                run(command)
        except PortsideError:
            _take_back(wanted, book, number, root, run if enabling else _nothing)
            raise


def _check_free(wanted: Installed, record: Mapping[int, Installed], root: str) -> None:
    """Refuse a port or a file that is somebody's."""
    for one in record.values():
        if wanted.port and (one.port, one.protocol) == (wanted.port, wanted.protocol):
            raise BadRequest(
                "install", f"port {wanted.port}", f"'{one.plan.service}' was installed on it",
                f"portside uninstall {wanted.port}",
            )  # fmt: skip
    for file in wanted.plan.files:
        if os.path.lexists(root + file.path):
            raise BadRequest(
                "install", wanted.plan.service, f"'{file.path}' is there already", "name another: --name"
            )


def _write_files(plan: Plan, root: str, run: Runner) -> None:
    for file in plan.files:
        files.replace(root + file.path, file.text)
        os.chmod(root + file.path, file.mode)  # whatever the umask
    for line in plan.lines:
        _change_line(line, root, there=True)
    for check in plan.checks:
        _check(check, plan, root, run)


def uninstall(installed: Installed, root: str = "", run: Runner = commands.run) -> Removed:
    """Switch a service off and take away what was written for it."""
    with Journal(place(root)) as book:
        removed = _remove(installed.plan, root, run)
        for number, one in _of_journal(book.records()).items():
            if one == installed:
                book.remove(number)
    return removed


def _remove(plan: Plan, root: str, run: Runner) -> Removed:
    failed = _try(plan.disable, run)
    gone, kept = [], []
    for file in plan.files:
        if not os.path.lexists(root + file.path):
            continue
        if _text(root + file.path) == file.text:
            files.replace(root + file.path, None)
            gone.append(file.path)
        else:
            kept.append(file.path)
    for line in plan.lines:
        _change_line(line, root, there=False)
        gone.append(f"{line.path} (one line)")
    failed += _try(plan.forget, run)
    return Removed(tuple(gone), tuple(kept), tuple(failed))


def find(port: int, protocol: str, unit: str = "", root: str = "") -> Installed | None:
    """Return what was installed on a port (or the unit that was switched on), None if nothing was."""
    for one in read_record(root):
        if (unit and one.unit == unit) or (not unit and one.port == port and protocol in ("", one.protocol)):
            return one
    return None


def _check(check: Command, plan: Plan, root: str, run: Runner) -> None:
    """Run a check over the files where they were written; one whose program is not here is passed over."""
    if not commands.find(check[0]):
        return
    paths = {file.path for file in plan.files}
    run(tuple(root + word if word in paths else word for word in check))


def _take_back(wanted: Installed, book: Journal, number: int, root: str, run: Runner) -> None:
    try:
        _remove(wanted.plan, root, run)
        book.remove(number)
    except PortsideError:  # what failed first is what is told
        pass


def _nothing(_: Command) -> str:
    return ""


def _try(commands: Sequence[Command], run: Runner) -> list[str]:
    """Run commands, whatever becomes of each; return what those said that failed."""
    failed = []
    for command in commands:
        try:
            run(command)
        except PortsideError as error:
            failed.append(str(error))
    return failed


def _change_line(line: Line, root: str, *, there: bool) -> None:
    """Add or take away our line of a shared file; the other lines stay as they are."""
    path = root + line.path
    text = _text(path)
    lines = [one for one in text.splitlines(keepends=True) if one.rstrip("\n") != line.text]
    if there:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.append(line.text + "\n")
    new = "".join(lines)
    if new != text:
        files.replace(path, new)


def _text(path: str) -> str:
    try:
        return files.read_small(path).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def place(root: str = "") -> str:
    """Return where the journal is."""
    return journal.place("installed", root)


def read_record(root: str = "") -> tuple[Installed, ...]:
    """Return what is installed; raises BadReply where the record is damaged: its commands are run as root."""
    return tuple(_of_journal(journal.read(place(root))).values())


def _of_journal(records: Mapping[int, dict[str, Any]]) -> dict[int, Installed]:
    try:
        return {number: _from_json(record) for number, record in records.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadReply(
            "read", f"'{place()}'", "the record is damaged", "look at it, and remove it"
        ) from error


def _to_json(one: Installed) -> dict[str, Any]:
    plan = dict(one.plan.items())
    plan["files"] = [dict(file.items()) for file in one.plan.files]
    plan["lines"] = [dict(line.items()) for line in one.plan.lines]
    return dict(one.items()) | {"plan": plan}


def _from_json(item: dict[str, Any]) -> Installed:
    plan = item["plan"]
    commands = ("checks", "enable", "disable", "forget")
    made = plan | {name: tuple(tuple(map(str, command)) for command in plan[name]) for name in commands}
    made["files"] = tuple(File(**file) for file in plan["files"])
    made["lines"] = tuple(Line(**line) for line in plan["lines"])
    made["warnings"] = tuple(plan["warnings"])
    return Installed(**item | {"plan": Plan(**made)})
