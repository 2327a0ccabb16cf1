"""The protocol of `portside send` and `portside receive`: frames and what is in them; bytes to values, no I/O.

The receiver speaks first (GREETING), so that a sender knows a plain netcat by its silence; the sender answers HELLO.
With TLS all of it comes after the handshake.
Then frames: one byte that says the kind, four the length, the payload.  For each file, directory or link:

    sender  ENTRY (name, size, mode, time)      receiver  FROM (how many bytes it has, their SHA-256)
            START (where it begins)
            DATA and HOLE, as many as it takes
            END (SHA-256 of the whole)          receiver  DONE (the same)
    sender  BYE, after the last                 receiver  BYE, once everything is on the disk and has its name

The ENTRY of a directory at the root is answered by a FROM as well: 1 if there is something of an earlier try, else 0.
After 0 all that is below it comes as a stream: no FROM, and a DONE is not waited for.
BUSY may come at any time from who makes a long checksum, FAIL (a reason) from the receiver.
PAKE begins a sealed conversation (use/transfer/sealing.py).
"""

from __future__ import annotations

import json
import struct

from portside.errors import BadReply
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GREETING = b"portside receive 1\r\n"
TLS_ONLY = b"portside receive: TLS only\r\n"  # to who speaks in plain text where TLS was asked for
HELLO = b"\x89portside send 1\r\n"
LARGEST = 1 << 20  # of a payload
OVERHEAD = 32  # what sealing may add to one
HEAD = struct.Struct("!cI")
_NUMBER = struct.Struct("!Q")

ENTRY, FROM, START, DATA, HOLE, END, DONE, FAIL, BYE, PAKE, BUSY = (
    b"e", b"f", b"s", b"d", b"h", b"n", b"o", b"x", b"b", b"p", b"w",
)  # fmt: skip
KINDS = frozenset((ENTRY, FROM, START, DATA, HOLE, END, DONE, FAIL, BYE, PAKE, BUSY))
FILE, DIRECTORY, LINK = "file", "directory", "link"
_MOST_BYTES = 1 << 62
_MOST_PARTS = 256
_DIGEST = 32


class Entry(Record):
    """One thing that is sent: its `path`, from the root's name down, its kind, permission bits, time in nanoseconds.

    `size` is of a file, `target` of a link.
    """

    path: tuple[str, ...]
    kind: str
    size: int = 0
    mode: int = 0o644
    time: int = 0
    target: str = ""


def frame(kind: bytes, length: int) -> bytes:
    """Return the head of a frame whose payload follows."""
    return HEAD.pack(kind, length)


def parse_head(data: bytes) -> tuple[bytes, int]:
    """Return kind and length of a frame; raises BadReply."""
    kind, length = HEAD.unpack(data)
    if kind not in KINDS or length > LARGEST + OVERHEAD:
        raise _malformed(f"a frame of kind {kind!r} with {length} bytes")
    return kind, length


def encode_entry(entry: Entry) -> bytes:
    """Return an entry as the payload of ENTRY."""
    fields = dict(entry.items()) | {"path": list(entry.path)}
    return json.dumps(fields, ensure_ascii=True).encode()


def parse_entry(payload: bytes) -> Entry:
    """Read an ENTRY; raises BadReply, also where a name could lead out of the directory that it is put into."""
    try:
        fields = json.loads(payload)
        entry = Entry(**{**fields, "path": tuple(fields["path"])})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _malformed(f"an entry that is none: {error}") from error
    if not 0 < len(entry.path) <= _MOST_PARTS or not all(map(is_name, entry.path)):
        raise _malformed(f"the name {'/'.join(map(str, entry.path))!r}")
    if entry.kind not in (FILE, DIRECTORY, LINK) or not isinstance(entry.target, str) or "\0" in entry.target:
        raise _malformed(f"an entry of kind {entry.kind!r}")
    if not (_is_count(entry.size, _MOST_BYTES) and _is_count(entry.mode, 0o7777)):
        raise _malformed("an entry's size or mode")
    if not isinstance(entry.time, int) or abs(entry.time) > _MOST_BYTES:
        raise _malformed("an entry's time")
    if entry.kind == LINK and leads_out(entry.path, entry.target):
        raise _malformed(f"the link {'/'.join(entry.path)!r} leads out, to {entry.target!r}")
    return entry


def is_name(name: Any) -> bool:
    """Whether this is one part of a path and nothing else."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    try:
        return len(name.encode("utf-8", "surrogateescape")) <= 255
    except UnicodeEncodeError:
        return False


def leads_out(path: tuple[str, ...], target: str) -> bool:
    """Whether a link at `path` leads out of the tree below path[0], or might, by way of another link."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = len(parts) - len([part for part in parts if part != ".."])
    return target.startswith("/") or not target or up > len(path) - 2 or ".." in parts[up:]


def encode_point(offset: int, digest: bytes) -> bytes:
    """Return how many bytes there are and their SHA-256, as the payload of FROM and END."""
    return _NUMBER.pack(offset) + digest


def parse_point(payload: bytes) -> tuple[int, bytes]:
    """Read the payload of FROM, END and DONE."""
    if len(payload) != _NUMBER.size + _DIGEST:
        raise _malformed(f"{len(payload)} bytes instead of a length and a digest")
    return parse_number(payload[: _NUMBER.size]), payload[_NUMBER.size :]


def encode_number(number: int) -> bytes:
    """Return the payload of START and HOLE."""
    return _NUMBER.pack(number)


def parse_number(payload: bytes) -> int:
    """Read the payload of START and HOLE."""
    if len(payload) != _NUMBER.size:
        raise _malformed(f"{len(payload)} bytes instead of a number")
    (number,) = _NUMBER.unpack(payload)
    if number > _MOST_BYTES:
        raise _malformed(f"a length of {number} bytes")
    return int(number)


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _malformed(what: str) -> BadReply:
    return BadReply("read transfer", "", f"the other side sent {what}")
