"""lsof's output for other programs, -F: a letter and a value for each field, a line each, or with -F0 a NUL."""

from __future__ import annotations

from portside.faces.lsof.flags import flags_text
from portside.faces.lsof.text import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.lsof.files import File, Holder
    from portside.faces.lsof.names import Names
    from portside.faces.lsof.options import Options


def fields(holders: list[Holder], options: Options, names: Names) -> Iterator[str]:
    """Yield the chosen fields of each process and of its files, those of one together."""
    end = options.end
    behind = "\n" if end == "\0" else ""
    for holder in holders:
        yield "".join(f"{one}{end}" for one in _process(holder, options, names)) + behind
        for file in holder.files:
            told = [*_file(file, options, names)]
            yield "".join(f"{one}{end}" for one in told) + (behind if told else "")


def _process(holder: Holder, options: Options, names: Names) -> Iterator[str]:
    task, chosen = holder.task, options.fields or ()
    yield f"p{task.pid}"
    if "K" in chosen and task.thread:
        yield f"K{task.thread}"
    if "M" in chosen and task.thread:
        yield f"M{safe(task.thread_name)}"
    if "g" in chosen:
        yield f"g{task.group}"
    if "R" in chosen:
        yield f"R{task.parent}"
    if "c" in chosen:
        yield f"c{safe(task.name)}"
    if "u" in chosen:
        yield f"u{task.uid}"
    if "L" in chosen:
        names.warn_of_user(task.uid)
        if names.user(task.uid):
            yield f"L{names.user(task.uid)}"


def _file(file: File, options: Options, names: Names) -> Iterator[str]:
    chosen = options.fields or ()
    if "f" in chosen:
        yield f"f{file.fd.lstrip()}"
    if "a" in chosen:
        yield "au"
    if "l" in chosen:
        yield "l "
    if "t" in chosen:
        yield f"t{file.type}"
    flags = flags_text(file.flags, options.flags_in_hex)
    if "G" in chosen and flags:
        yield f"G{flags}"
    if "d" in chosen and file.device and not file.number:
        yield f"d{file.device}"
    if "D" in chosen and file.number:
        yield f"D0x{file.number:x}"
    if "o" in chosen and not (options.size and not options.offset):
        yield "o0t0"
    if "i" in chosen and not file.protocol:
        yield f"i{file.inode}"
    if "P" in chosen and file.protocol:
        yield f"P{file.protocol}"
    if "n" in chosen:
        yield f"n{names.of(file)}"
    if "T" in chosen:
        yield from (f"T{one if '=' in one else 'ST=' + one}" for one in names.connection(file))
