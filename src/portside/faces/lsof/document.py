"""lsof's JSON, as its versions from 4.99.6 on write it: -J one document, -j a line for each file.

Keys and their order are lsof's, numbers that may be large are text as there.  The name of an Internet socket, which
lsof leaves out, is here, and the state of a Unix socket.  Text of others is escaped as JSON, beyond ASCII too.
"""

from __future__ import annotations

from portside.faces.lsof.flags import flags_text
from portside.faces.lsof.names import queues
from portside.faces.lsof.options import QUEUES, STATE
from portside.faces.lsof.tables import state_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.lsof.files import File, Holder
    from portside.faces.lsof.names import Names
    from portside.faces.lsof.options import Options

VERSION = "4.99.7"  # whose shape this is


def document(holders: list[Holder], options: Options, names: Names) -> Iterator[str]:
    """Yield the document in pieces: nested for -J, flat lines for -j."""
    from json import dumps  # asked for

    if options.document == "j":
        for holder in holders:
            process = _process(holder, options, names)
            for file in holder.files:
                yield dumps(process | _file(file, options, names), separators=(",", ":")) + "\n"
        if options.delay:
            yield "\n"
        return
    yield f'{{"lsof_version":"{VERSION}","processes":['
    comma = ""
    for holder in holders:
        files = [_file(file, options, names) for file in holder.files]
        yield comma + dumps(_process(holder, options, names) | {"files": files}, separators=(",", ":"))
        comma = ","
    yield "]}\n"


def _process(holder: Holder, options: Options, names: Names) -> dict[str, object]:
    task, chosen = holder.task, (options.fields or set()) | {"p"}
    login = names.user(task.uid)
    if "L" in chosen:
        names.warn_of_user(task.uid)
    told = (
        ("p", True, "pid", task.pid), ("K", task.thread, "tid", task.thread),
        ("M", task.thread, "task_cmd", task.thread_name), ("g", True, "pgid", task.group),
        ("R", True, "ppid", task.parent), ("c", True, "command", task.name), ("u", True, "uid", task.uid),
        ("L", login, "login", login),
    )  # fmt: skip
    return {key: value for letter, there, key, value in told if letter in chosen and there}


def _file(file: File, options: Options, names: Names) -> dict[str, object]:
    chosen = options.fields or set()
    flags = flags_text(file.flags, options.flags_in_hex)
    device = "" if file.number else file.device
    connection = _connection(file, options)
    told = (
        ("f", True, "fd", str(file.descriptor)), ("a", True, "access", "u"), ("t", True, "type", file.type),
        ("d", device, "device", device), ("D", file.number, "device_number", f"0x{file.number:x}"),
        ("o", options.offset or not options.size, "offset", "0"),
        ("i", not file.protocol, "inode", str(file.inode)), ("P", file.protocol, "protocol", file.protocol),
        ("G", flags, "flags", flags), ("n", True, "name", names.plain(file)),
        ("T", connection is not None, "tcp_info", connection),
    )  # fmt: skip
    return {key: value for letter, there, key, value in told if letter in chosen and there}


def _connection(file: File, options: Options) -> dict[str, object] | None:
    if file.kind < 0:
        return None
    told: dict[str, object] = {}
    if options.tell & STATE and file.row is None:
        told["state"] = file.state
    elif options.tell & STATE and file.row is not None and not file.kind:
        told["state"] = state_name(file.row[1])
    if options.tell & QUEUES and file.row is not None:
        told["recv_queue"], told["send_queue"] = queues(file)
    return told
