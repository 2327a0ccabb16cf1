"""ss --xdp: AF_XDP sockets.  The local end is an interface and a queue.  Reference: misc/ss.c."""

from __future__ import annotations

from portside.faces.ss import extras, memory
from portside.faces.ss.context import Subject
from portside.faces.ss.extras import NEW_LINE
from portside.wire import tcp_info, xdp_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading

    Answer = tuple[tuple[int, ...], dict[str, object]]

_STATS = (
    ("rx dropped", "n_rx_dropped"), ("rx invalid", "n_rx_invalid"), ("rx queue full", "n_rx_full"),
    ("rx fill ring empty", "n_fill_ring_empty"), ("tx invalid", "n_tx_invalid"),
    ("tx ring empty", "n_tx_ring_empty"),
)  # fmt: skip


def rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the XDP sockets."""
    answers = list(xdp_diag.answers(reading.dump(xdp_diag.request(), "xdp sockets")))
    reading.want(numbers[3] for numbers, _ in answers)
    return _lines(answers, options, reading)


def _lines(answers: list[Answer], options: Options, reading: Reading) -> Iterator[Line]:
    for (_, _, _, inode, cookie), told in answers:
        info, words, uid = _bytes(told, "info"), told.get("meminfo"), told.get("uid")
        where = tcp_info.read(xdp_diag.INFO, info or b"")
        interface, queue = where["ifindex"], where["queue_id"]
        used = words if isinstance(words, tuple) else ()
        if not reading.accepts(Subject(xdp_diag.AF_XDP, bytes(4), bytes(4), queue, 0, interface)):
            continue
        details = (
            extras.details(uid if isinstance(uid, int) else 0, inode, cookie)
            + _details(told, options.oneline)
            if options.details
            else ""
        )
        yield (
            "xdp",
            "UNCONN",
            f"{used[tcp_info.SK_MEMINFO_RMEM_ALLOC] if used else 0:<6}",
            f"{0:<6}",
            f"{reading.interface(interface)}:" if interface else "*",
            f"q{queue}" if interface else "",
            "*",
            "",
            reading.users(inode) + details + (memory.words(used) if options.memory and used else ""),
        )


def _details(told: dict[str, object], oneline: bool) -> str:
    """Return rings, user memory and statistics, each on a line of its own but with -O."""
    first = " " if oneline else NEW_LINE
    pieces = [_ring(told, first, name, f"{name}_ring") for name in ("rx", "tx")]
    umem, stats = _bytes(told, "umem"), _bytes(told, "stats")
    if umem is not None:
        # with -O ss writes a t before it
        pieces.append(f"{' t' if oneline else NEW_LINE}umem({_umem(umem)})")
        pieces.append(_ring(told, first, "fr", "umem_fill_ring"))
        pieces.append(_ring(told, first, "cr", "umem_completion_ring"))
    if stats is not None:
        counted = tcp_info.read(xdp_diag.STATS, stats)
        pieces.append(f"{first}stats({','.join(f'{word}:{counted[field]}' for word, field in _STATS)})")
    return "".join(pieces)


def _ring(told: dict[str, object], first: str, word: str, name: str) -> str:
    return f"{first}{word}(entries:{told[name]})" if name in told else ""


def _umem(payload: bytes) -> str:
    umem = tcp_info.read(xdp_diag.UMEM, payload)
    return (
        "id:{id},size:{size},num_pages:{num_pages},chunk_size:{chunk_size},headroom:{headroom},"
        "ifindex:{ifindex},qid:{queue_id},zc:{zc},refs:{refs}"
    ).format(zc=umem["flags"] & xdp_diag.XDP_DU_F_ZEROCOPY, **umem)


def _bytes(told: dict[str, object], name: str) -> bytes | None:
    found = told.get(name)
    return found if isinstance(found, bytes) else None
