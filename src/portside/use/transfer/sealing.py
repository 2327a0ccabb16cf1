"""A key from a short one-time code, by SPAKE2, and the sealing of a channel with it.

Who does not know the code can try one guess for each conversation, and learns nothing from listening; a receiver
takes one wrong code and ends.  Frames are sealed by ChaCha20-Poly1305 under a key for each direction, with a counter.
References: RFC 9382 (SPAKE2), RFC 5869 (HKDF), RFC 8439.  Needs the packages spake2 and cryptography (extra `code`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct

from portside.errors import NotPermitted, NotSupported
from portside.wire.transfer import PAKE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.use.transfer.channel import Channel, Cipher

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another
_GROUP, _GROUPS = 4, 2  # 8 letters of 31: 39 bits, with one guess
_PROOF = 32


def new_code() -> str:
    """Return a code to read out: `k3fq-9wmz`."""
    letters = [_LETTERS[_below(len(_LETTERS))] for _ in range(_GROUP * _GROUPS)]
    return "-".join("".join(letters[at : at + _GROUP]) for at in range(0, len(letters), _GROUP))


def _below(limit: int) -> int:
    """Return a number below the limit, each as likely as any other."""
    while True:
        (byte,) = os.urandom(1)
        if byte < 256 - 256 % limit:
            return byte % limit


def require_packages() -> None:
    """Raise NotSupported where a package is missing."""
    try:
        import spake2  # noqa: F401
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: F401
    except ImportError as error:
        raise NotSupported(
            "use a code", "", f"the package '{error.name}' is not installed", "pip install 'portside[code]'"
        ) from error


def seal(channel: Channel, code: str, *, sender: bool) -> None:
    """Agree on a key and seal the channel; raises NotPermitted where the other side's code is another."""
    from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError

    ours: Any = (SPAKE2_A if sender else SPAKE2_B)(code.strip().lower().encode())
    said = ours.start()
    channel.send(PAKE, said)
    heard = channel.expect(PAKE)
    try:
        key = ours.finish(heard)
    except SPAKEError as error:
        raise _wrong() from error
    keys = [_derive(key, purpose) for purpose in (b"sender", b"receiver", b"sender proof", b"receiver proof")]
    mine, theirs = (keys[2], keys[3]) if sender else (keys[3], keys[2])
    if sender:
        channel.send(PAKE, mine)
    if not hmac.compare_digest(channel.expect(PAKE), theirs):
        raise _wrong()
    if not sender:
        channel.send(PAKE, mine)
    outward, inward = (keys[0], keys[1]) if sender else (keys[1], keys[0])
    channel.seal(_encryption(outward), _decryption(inward))


def _wrong() -> NotPermitted:
    return NotPermitted(
        "agree on a key", "", "the code is not the other side's", "begin anew: a code is good once"
    )


def _derive(key: bytes, purpose: bytes) -> bytes:
    """Return 32 bytes for one purpose (HKDF with SHA-256, one block)."""
    extracted = hmac.digest(b"portside transfer 1", key, hashlib.sha256)
    return hmac.digest(extracted, purpose + b"\x01", hashlib.sha256)


def _encryption(key: bytes) -> Cipher:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    cipher, nonces = ChaCha20Poly1305(key), _Nonces()
    return lambda data: cipher.encrypt(nonces.next(), data, None)


def _decryption(key: bytes) -> Cipher:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    cipher, nonces = ChaCha20Poly1305(key), _Nonces()

    def decrypt(data: bytes | memoryview) -> bytes:
        try:
            return bytes(cipher.decrypt(nonces.next(), data, None))
        except InvalidTag as error:
            raise NotPermitted("read transfer", "", "a frame was changed on the way") from error

    return decrypt


class _Nonces:
    """Numbers of frames: none comes twice under one key."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> bytes:
        self._count += 1
        return struct.pack("!IQ", 0, self._count)
