"""The port mapper's list of registered programs: RFC 1833 (version 2), ONC RPC over TCP as RFC 5531 frames it."""

from __future__ import annotations

from struct import Struct

from portside.errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 111
PROGRAM, VERSION, DUMP = 100000, 2, 4
XID = 0x706F7274
_LAST = 1 << 31  # of a fragment's header: no other follows
_CALL, _REPLY, _RPC_VERSION = 0, 1, 2

_CALL_LAYOUT = Struct(">10I")
_REPLY_LAYOUT = Struct(">5I")
_WORD = Struct(">I")
_ENTRY = Struct(">4I")  # struct mapping: program, version, protocol, port


def dump_request() -> bytes:
    """Return the call that asks for everything that is registered."""
    call = _CALL_LAYOUT.pack(XID, _CALL, _RPC_VERSION, PROGRAM, VERSION, DUMP, 0, 0, 0, 0)
    return _WORD.pack(_LAST | len(call)) + call


def whole(data: bytes) -> bytes | None:
    """Return the reply that the fragments in `data` make, None while something is missing."""
    reply, place = b"", 0
    while len(data) - place >= _WORD.size:
        (header,) = _WORD.unpack_from(data, place)
        end = place + _WORD.size + (header & ~_LAST)
        if end > len(data):
            return None
        reply += data[place + _WORD.size : end]
        if header & _LAST:
            return reply
        place = end
    return None


def entries(reply: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (program, version, protocol number, port) of each entry; raises BadReply."""
    place = _results(reply)
    while _word(reply, place):
        if place + _WORD.size + _ENTRY.size > len(reply):
            raise _bad("an entry is cut off")
        program, version, protocol, port = _ENTRY.unpack_from(reply, place + _WORD.size)
        yield program, version, protocol, port
        place += _WORD.size + _ENTRY.size


def _results(reply: bytes) -> int:
    """Return where the results begin in a reply that accepts the call."""
    if len(reply) < _REPLY_LAYOUT.size:
        raise _bad("it is too short")
    xid, kind, accepted, _, verifier = _REPLY_LAYOUT.unpack_from(reply)
    place: int = _REPLY_LAYOUT.size + (verifier + 3 & ~3)
    if xid != XID or kind != _REPLY or accepted or _word(reply, place):
        raise _bad("it does not accept the call")
    return place + _WORD.size


def _word(reply: bytes, place: int) -> int:
    if place + _WORD.size > len(reply):
        raise _bad("it is cut off")
    return int.from_bytes(reply[place : place + _WORD.size], "big")


def _bad(why: str) -> BadReply:
    return BadReply("read", "port mapper's reply", why)


def program_names(text: str) -> dict[int, str]:
    """Return program number -> name from the text of /etc/rpc, rpc(5)."""
    names: dict[int, str] = {}
    for line in text.split("\n"):
        fields = line.partition("#")[0].split()
        if len(fields) > 1 and fields[1].isascii() and fields[1].isdigit():
            names.setdefault(int(fields[1]), fields[0])
    return names
