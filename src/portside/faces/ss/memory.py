"""A socket's memory as ss writes it: `skmem:(r0,rb131072,t0,...)` (include/uapi/linux/sock_diag.h, SK_MEMINFO_*).

r and t: bytes received and in transit now, rb and tb: the limits SO_RCVBUF and SO_SNDBUF, f: reserved and unused,
w: queued for sending, o: options, bl: backlog, d: datagrams dropped.  The last two came later and may lack.
"""

from __future__ import annotations

from portside.wire import sock_diag

_WORDS = ("r", "rb", "t", "tb", "f", "w", "o", "bl", "d")
_OLDEST = 7  # words that every kernel sends


def text(array: bytes) -> str:
    """Return ` skmem:(...)` of the array of u32 that the kernel sent."""
    return words(sock_diag.numbers(array))


def words(numbers: tuple[int, ...]) -> str:
    """Return ` skmem:(...)` of the array's numbers."""
    whole = numbers + (0,) * (_OLDEST - len(numbers))
    return f" skmem:({','.join(f'{word}{number}' for word, number in zip(_WORDS, whole, strict=False))})"
