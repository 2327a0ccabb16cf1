"""ss --vsock: sockets between a virtual machine and its host.  Reference: misc/ss.c, vsock(7)."""

from __future__ import annotations

import struct

from portside.faces.ss.context import STATES, Subject
from portside.wire import vsock_diag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.faces.ss.context import Line, Options, Reading

    Answer = tuple[tuple[int, ...], dict[str, object]]

# include/linux/net.h, enum sock_type -> table
_TABLES = {1: "v_str", 2: "v_dgr"}


def rows(options: Options, reading: Reading) -> Iterator[Line]:
    """Read the vsock sockets of the chosen types and states."""
    answers = list(vsock_diag.answers(reading.dump(vsock_diag.request(options.states), "vsock sockets")))
    chosen = [one for one in answers if _TABLES.get(one[0][1], "") in ("", *options.tables)]
    reading.want(numbers[8] for numbers, _ in chosen)
    return _lines(chosen, reading)


def _lines(answers: list[Answer], reading: Reading) -> Iterator[Line]:
    for (_, kind, state, _, cid, port, peer_cid, peer_port, inode, _), _ in answers:
        ends = struct.pack("=I", cid), struct.pack("=I", peer_cid)
        if not reading.accepts(Subject(vsock_diag.AF_VSOCK, *ends, port, peer_port)):
            continue
        yield (
            _TABLES.get(kind, "???"),
            STATES[state] if state < len(STATES) else STATES[0],
            f"{0:<6}",
            f"{0:<6}",
            _number(cid) + ":",
            _number(port),
            _number(peer_cid) + ":",
            _number(peer_port),
            reading.users(inode),
        )


def _number(number: int) -> str:
    return "*" if number == vsock_diag.ANY else str(number)
