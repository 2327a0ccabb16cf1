"""SipHash-1-3 over columns (J.-P. Aumasson, D. Bernstein, "SipHash: a fast short-input PRF", 2012).

The keyed hash in each probe's sequence number: an answer that carries it back saw the probe, whoever sent it.
"""

from __future__ import annotations

import numpy as np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def siphash13(key: tuple[int, int], words: Sequence[Words]) -> Words:
    """Return the hash of each row of 64-bit words; the words are what little-endian bytes would be read as."""
    state = [np.full(len(words[0]), start ^ key[i % 2], np.uint64) for i, start in enumerate(_INITIAL)]
    last = np.full(len(words[0]), (8 * len(words) & 0xFF) << 56, np.uint64)
    spare = np.empty_like(last)
    for word in (*words, last):
        state[3] ^= word
        _round(state, spare)
        state[0] ^= word
    state[2] ^= np.uint64(0xFF)
    for _ in range(3):
        _round(state, spare)
    state[0] ^= state[1]
    state[2] ^= state[3]
    return state[0] ^ state[2]


def _round(state: list[Words], spare: Words) -> None:
    """One SipRound, in place; v0 and v2 end rotated by half by renaming nothing, as the paper draws it."""
    v0, v1, v2, v3 = state
    v0 += v1
    _rotate(v1, 13, spare)
    v1 ^= v0
    _rotate(v0, 32, spare)
    v2 += v3
    _rotate(v3, 16, spare)
    v3 ^= v2
    v0 += v3
    _rotate(v3, 21, spare)
    v3 ^= v0
    v2 += v1
    _rotate(v1, 17, spare)
    v1 ^= v2
    _rotate(v2, 32, spare)


def _rotate(column: Words, bits: int, spare: Words) -> None:
    np.right_shift(column, 64 - bits, out=spare)
    np.left_shift(column, bits, out=column)
    column |= spare
