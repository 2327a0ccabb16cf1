"""Who holds which socket, in one pass of an eBPF iterator over all tasks instead of a readlink for each descriptor.

The answer is checked before it is believed: the pass is made while this process holds a socket of its own, a
witness, whose inode, pid and descriptor must come out.  Kept offsets that belong to another kernel fail in the
verifier or lose the witness; they are then read anew, once.  Where the quick program cannot be loaded (before
kernel 6.4), the slow one is: see portside.wire.holder_programs.
A pass is no snapshot: descriptors that are opened or closed meanwhile may or may not be in it, others are.
"""

from __future__ import annotations

import _socket  # see portside.system.netlink
import os
from struct import Struct
from struct import error as struct_error

from portside.errors import BadReply, NotSupported
from portside.system import bpf, kernel_layout
from portside.wire import holder_programs
from portside.wire.bpf import assemble
from portside.wire.holder_programs import ROW, ROWS_AT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import TypeAlias

    Columns: TypeAlias = tuple[list[int], list[int]]

_FILE_NR = "/proc/sys/fs/file-nr"
_NAME = "portside"
_NEEDS = tuple(dict.fromkeys((*holder_programs.SCAN_NEEDS, *holder_programs.WALK_NEEDS)))
_MANY = 512  # more wanted inodes are picked from all rows here: a program that compares each costs more
_FEW_ROWS = 4096
_COUNTS = Struct("=QQ")  # before the rows: how many, and tables too long to scan
_ATTEMPTS = 5  # a map found too small is made again to the measure of what was counted


def socket_holders(wanted: Collection[int] | None = None) -> tuple[list[int], list[int]]:
    """Return who holds the sockets of these inodes (`None`: every socket), as parallel columns.

    The first holds inodes, the second holders as `descriptor << 32 | pid`; pids are of this process's pid
    namespace, whose processes alone are seen, in whatever network namespace the socket is.  A pair may come twice.
    Raises NotPermitted without CAP_BPF and CAP_PERFMON, NotSupported where the kernel cannot, BadReply where its
    answer broke off; never returns a part.
    """
    if wanted is not None:
        wanted = {inode for inode in wanted if 0 < inode < 1 << 32}  # sockfs numbers have 32 bits
        if not wanted:
            return [], []
    layout = kernel_layout.kept(_NEEDS)
    if layout is not None:
        try:
            return _by_any_road(layout, wanted)
        except (NotSupported, BadReply, struct_error):  # perhaps the kept numbers are wrong
            pass
    bpf.check_permitted()
    return _by_any_road(kernel_layout.read(_NEEDS), wanted)


def _by_any_road(layout: Mapping[str, int], wanted: set[int] | None) -> Columns:
    try:
        return _with_witness(_scan, layout, wanted)
    except NotSupported:
        return _with_witness(_walk, layout, wanted)


def _with_witness(
    road: Callable[[Mapping[str, int], Sequence[int] | None], Iterable[bytes]],
    layout: Mapping[str, int],
    wanted: set[int] | None,
) -> Columns:
    """Take one road, with a socket of our own in sight; its rows are checked and left out of the answer."""
    witness = _witness()
    try:
        descriptor = witness.fileno()
        inode = os.fstat(descriptor).st_ino
        by_kernel = wanted if wanted is not None and len(wanted) <= _MANY else None
        asked = None if by_kernel is None else sorted({*by_kernel, inode})
        rows = road(layout, asked)
    except KeyError as missing:
        raise NotSupported("find", f"{missing}", "this kernel has none of that name") from None
    finally:
        witness.close()
    buffer = b"".join(rows)
    if len(buffer) % ROW.size:
        raise BadReply("read", "socket holders", f"{len(buffer)} bytes are no whole rows")
    words = memoryview(buffer).cast("Q")
    inodes, holders = words[::2].tolist(), words[1::2].tolist()
    if descriptor << 32 | os.getpid() not in _take_out(inodes, holders, inode):
        raise NotSupported("read", "socket holders", "a socket held for proof did not come out")
    if wanted is not None and by_kernel is None:
        pairs = [pair for pair in zip(inodes, holders, strict=True) if pair[0] in wanted]
        return [inode for inode, _ in pairs], [holder for _, holder in pairs]
    return inodes, holders


def _witness() -> _socket.socket:
    try:
        return _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    except OSError as error:
        raise NotSupported("open", "a socket for proof", error.strerror or "", errno=error.errno) from None


def _take_out(inodes: list[int], holders: list[int], inode: int) -> list[int]:
    """Remove all rows of an inode and return their holders."""
    taken = []
    for _ in range(inodes.count(inode)):
        at = inodes.index(inode)
        del inodes[at]
        taken.append(holders.pop(at))
    return taken


def _scan(layout: Mapping[str, int], asked: Sequence[int] | None) -> Iterable[bytes]:
    """Rows by the quick program: kernel 6.4 and later."""
    capacity = _FEW_ROWS if asked is not None else _open_files() * 5 // 4 + _FEW_ROWS
    for _ in range(_ATTEMPTS):
        rows, count = _scan_into(capacity, layout, asked)
        if count <= capacity:
            return [rows]
        capacity = count * 5 // 4
    raise BadReply("read", "socket holders", "sockets are opened faster than they are read")


def _scan_into(capacity: int, layout: Mapping[str, int], asked: Sequence[int] | None) -> tuple[bytes, int]:
    """Run the program once with a map for so many rows: those that fit, and how many there were."""
    size = ROWS_AT + capacity * ROW.size
    rows_map = bpf.create_array(size, _NAME)
    try:
        code = assemble(holder_programs.scan(layout, rows_map, capacity, asked))
        bpf.run_iterator(code, layout["func:bpf_iter_task"], _NAME)
        value = bpf.read_array(rows_map, size, _NAME)
    finally:
        os.close(rows_map)
    count, too_long = _COUNTS.unpack_from(value)
    if too_long:
        raise NotSupported("scan", "descriptor tables", "one has more than 8 million places")
    return bytes(memoryview(value)[ROWS_AT : ROWS_AT + min(count, capacity) * ROW.size]), count


def _walk(layout: Mapping[str, int], asked: Sequence[int] | None) -> Iterable[bytes]:
    """Rows by the program that the kernel calls for each descriptor: kernel 5.10 and later."""
    code = assemble(holder_programs.walk(layout, asked))
    return bpf.run_iterator(code, layout["func:bpf_iter_task_file"], _NAME)


def _open_files() -> int:
    """Open files of the whole system, a measure for rows to come: proc_sys_fs(5), file-nr."""
    try:
        with open(_FILE_NR, "rb", buffering=0) as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 1 << 16
