"""lsof's table: columns sized to what they hold, but COMMAND, which +c limits, and FD, which has four digits."""

from __future__ import annotations

from portside.faces.lsof import text
from portside.faces.lsof.flags import flags_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.lsof.files import Holder
    from portside.faces.lsof.names import Names
    from portside.faces.lsof.options import Options

_OFFSET = "0t0"  # a socket has no other


def table(holders: list[Holder], options: Options, names: Names) -> Iterator[str]:
    """Yield the header and a line for each file; nothing where there is none."""
    if not holders:
        return
    heads = _heads(holders, options, names)
    files = [file for holder in holders for file in holder.files]
    title = "OFFSET" if options.offset else "SIZE" if options.size else "SIZE/OFF"
    type_width = max(4, *map(len, {file.type for file in files}))
    device_width = max(6, max(len(file.device) for file in files))
    node_width = max(4, max(len(file.protocol or str(file.inode)) for file in files))
    told = {one: flags_text(one, options.flags_in_hex) for one in {file.flags for file in files}}
    flag_width = max(len("FILE-FLAG"), *map(len, told.values()))
    links = f" {'NLINK':>5}" if options.link_column else ""
    flags = f" {'FILE-FLAG':>{flag_width}}" if options.flags else ""
    yield (
        f"{next(heads)}   FD   {'TYPE':>{type_width}}{flags} {'DEVICE':>{device_width}} {title}{links} "
        f"{'NODE':>{node_width}} NAME\n"
    )
    offset = f" {'' if options.size else _OFFSET:>{len(title)}}{' ' * len(links)} "
    full = names.full
    for holder in holders:
        head = next(heads)
        for file in holder.files:
            if options.flags:
                flags = f" {told[file.flags]:>{flag_width}}"
            yield (
                f"{head} {file.fd}u  {file.type:>{type_width}}{flags} {file.device:>{device_width}}"
                f"{offset}{file.protocol or file.inode:>{node_width}} {full(file)}\n"
            )


def _heads(holders: list[Holder], options: Options, names: Names) -> Iterator[str]:
    """Yield the header's first columns, then each holder's: those that all its files share."""
    limit = options.width or None
    width = max(7, *(min(text.length(_name(one)), limit or 99) for one in holders))
    pid_width = _widest("PID", [one.task.pid for one in holders])
    columns = _columns(holders, options)
    user_width = max(4, *(len(names.user_column(one.task.uid)) for one in holders))
    _warn(holders, names)
    header = "".join(cells[0] for cells in columns)
    yield f"{'COMMAND':<{width}} {'PID':>{pid_width}}{header} {'USER':>{user_width}}"
    _warn(holders, names)
    for at, one in enumerate(holders, 1):
        middle = "".join(cells[at] for cells in columns)
        user = names.user_column(one.task.uid)
        yield f"{text.column(_name(one), width)} {one.task.pid:>{pid_width}}{middle} {user:>{user_width}}"


def _columns(holders: list[Holder], options: Options) -> list[list[str]]:
    """Return the columns that are there when they are asked for, each with its header first."""
    found = []
    if any(one.task.thread for one in holders):
        found.append(_numbers("TID", [one.task.thread or "" for one in holders]))
        limit = options.width or 99
        lengths = [min(text.length(one.task.thread_name), limit) for one in holders if one.task.thread]
        width = max(7, *lengths)
        cells = [text.column(one.task.thread_name, width) for one in holders]
        found.append([f" {cell}" for cell in [f"{'TASKCMD':<{width}}", *cells]])
    if options.parent:
        found.append(_numbers("PPID", [one.task.parent for one in holders]))
    if options.group:
        found.append(_numbers("PGID", [one.task.group for one in holders]))
    return found


def _numbers(title: str, values: list[int | str]) -> list[str]:
    width = _widest(title, values)
    return [f" {value:>{width}}" for value in [title, *values]]


def _widest(title: str, values: list[int] | list[int | str]) -> int:
    return max(len(title), *(len(str(value)) for value in values))


def _name(holder: Holder) -> str:
    return holder.task.name or "(unknown)"


def _warn(holders: list[Holder], names: Names) -> None:
    for one in holders:
        names.warn_of_user(one.task.uid, len(one.files))
