"""ss -x: Unix sockets.  An end is a name and an inode: the peer's name is not told, so its cell is `*`.

`dev:` is split as glibc splits a dev_t, though the kernel sends its own form of the number: ss does so too, and it
differs for devices with a major number alone.  Reference: misc/ss.c, unix(7).
"""

from __future__ import annotations

from portside.faces import printable
from portside.faces.ss import extras, memory
from portside.faces.ss.context import STATES, Subject
from portside.see.sockets import unix_name
from portside.wire import unix_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading

    Answer = tuple[tuple[int, ...], dict[str, object]]

# include/linux/net.h, enum sock_type -> table
TABLES = {1: "u_str", 2: "u_dgr", 5: "u_seq"}


def rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the Unix sockets of the chosen types and states."""
    show = unix_diag.UDIAG_SHOW_NAME | unix_diag.UDIAG_SHOW_PEER | unix_diag.UDIAG_SHOW_RQLEN
    if options.memory:
        show |= unix_diag.UDIAG_SHOW_MEMINFO
    if options.details:
        show |= unix_diag.UDIAG_SHOW_VFS | unix_diag.UDIAG_SHOW_ICONS
    answers = list(unix_diag.answers(reading.dump(unix_diag.request(options.states, show), "unix sockets")))
    chosen = [one for one in answers if TABLES.get(one[0][1], "") in ("", *options.tables)]
    reading.want(numbers[4] for numbers, _ in chosen)
    return _lines(chosen, options, reading)


def _lines(answers: list[Answer], options: Options, reading: Reading) -> Iterator[Line]:
    for (_, kind, state, _, inode, _), told in answers:
        raw, peer = told.get("name"), told.get("peer")
        name = unix_name(raw) if isinstance(raw, bytes) else None
        port = peer if isinstance(peer, int) else 0
        if not reading.accepts(Subject(unix_diag.AF_UNIX, name, None, inode, port)):
            continue
        more = _memory(told) if options.memory else ""
        if options.details:
            more += _details(told)
        yield line(kind, state, told.get("rqlen"), name, inode, port, reading.users(inode) + more)


def line(kind: int, state: int, queues: object, name: str | None, inode: int, peer: int, rest: str) -> Line:
    """Return the line of a Unix socket; `queues` is the pair of its numbers, or nothing."""
    used, limit = queues if isinstance(queues, tuple) and len(queues) == 2 else (0, 0)
    return (
        TABLES.get(kind, "u_dgr"),
        STATES[state] if state < len(STATES) else STATES[0],
        f"{used:<6}",
        f"{limit:<6}",
        ("*" if name is None else printable(name)) + " ",
        str(inode),
        "* ",
        str(peer),
        rest,
    )


def _memory(told: dict[str, object]) -> str:
    words = told.get("meminfo")
    return memory.text(words) if isinstance(words, bytes) else ""


def _details(told: dict[str, object]) -> str:
    mask, file, waiting = told.get("shutdown"), told.get("vfs"), told.get("icons")
    written = extras.shutdown(mask) if isinstance(mask, int) else ""
    if isinstance(file, tuple) and len(file) == 2:
        inode, device = file
        written += f" ino:{inode} dev:{device >> 8 & 0xFFF}/{device & 0xFF | device >> 12 & 0xFFF00}"
    if isinstance(waiting, tuple):
        written += " peers:" + "".join(f" {one}" for one in waiting)
    return written
