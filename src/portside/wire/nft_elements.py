"""Elements of nftables sets, put in by the thousand (include/uapi/linux/netfilter/nf_tables.h).

A batch is one transaction: a message that begins it, one NFT_MSG_NEWSETELEM for as many elements as a 16-bit
attribute length allows, a message that ends it.  Every element of one call has the same size and differs in its key
alone, so a message is the same few bytes put between the keys.

    NFTA_SET_ELEM_LIST_TABLE, _SET    names
    NFTA_SET_ELEM_LIST_ELEMENTS       NFTA_LIST_ELEM   NFTA_SET_ELEM_TIMEOUT   milliseconds, big-endian
                                                       NFTA_SET_ELEM_KEY       NFTA_DATA_VALUE   the address
                                      NFTA_LIST_ELEM   ...

All messages have the sequence number of the first request of a conversation, so that whoever asks finds the first
complaint about any of them; the acknowledgement is asked of the last that adds (one of NFNL_MSG_BATCH_END comes from
Linux 6.10 on only).  Reference: nfnetlink_rcv_batch() in net/netfilter/nfnetlink.c.
"""

from __future__ import annotations

from portside.wire import netlink
from portside.wire.nfnetlink import NFGENMSG, NFNL_SUBSYS_NFTABLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NFNL_MSG_BATCH_BEGIN = 16
NFNL_MSG_BATCH_END = 17
NFT_MSG_NEWSETELEM = 12
NFTA_LIST_ELEM = 1
NFTA_SET_ELEM_LIST_TABLE = 1
NFTA_SET_ELEM_LIST_SET = 2
NFTA_SET_ELEM_LIST_ELEMENTS = 3
NFTA_SET_ELEM_KEY = 1
NFTA_SET_ELEM_TIMEOUT = 4
NFTA_DATA_VALUE = 1

_LONGEST = 0xFFFF  # of an attribute


def batch(additions: Iterable[bytes]) -> bytes:
    """Return the transaction of what `addition` made; at least one."""
    *bodies, last = additions
    kind, flags = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, netlink.NLM_F_REQUEST | netlink.NLM_F_CREATE
    messages = [netlink.message(kind, flags, body) for body in bodies]
    messages.append(netlink.message(kind, flags | netlink.NLM_F_ACK, last))
    return b"".join([_edge(NFNL_MSG_BATCH_BEGIN), *messages, _edge(NFNL_MSG_BATCH_END)])


def _edge(kind: int) -> bytes:
    """Return the message that begins or ends a batch; `res_id` names the subsystem, big-endian."""
    body = bytes((0, 0)) + NFNL_SUBSYS_NFTABLES.to_bytes(2, "big")
    return netlink.message(kind, netlink.NLM_F_REQUEST, body)


def addition(
    family: int, table: str, name: str, keys: Sequence[bytes], milliseconds: int = 0
) -> Iterator[bytes]:
    """Yield the payloads that add elements to a set; all keys have one length, a multiple of four.

    After so many milliseconds (0: never) the kernel takes them out again.
    """
    head = NFGENMSG.write(nfgen_family=family)
    head += netlink.attribute(NFTA_SET_ELEM_LIST_TABLE, table.encode() + b"\0")
    head += netlink.attribute(NFTA_SET_ELEM_LIST_SET, name.encode() + b"\0")
    between = _before_key(len(keys[0]), milliseconds) if keys else b""
    most = (_LONGEST - netlink.ATTRIBUTE.size) // (len(between) + len(keys[0])) if keys else 1
    for start in range(0, len(keys), most):
        elements = between + between.join(keys[start : start + most])
        yield head + _nested(NFTA_SET_ELEM_LIST_ELEMENTS, elements)


def _before_key(size: int, milliseconds: int) -> bytes:
    """Return the bytes of one element that stand before its key, which is its end."""
    element = b""
    if milliseconds:
        element = netlink.attribute(NFTA_SET_ELEM_TIMEOUT, milliseconds.to_bytes(8, "big"))
    element += _nested(NFTA_SET_ELEM_KEY, netlink.attribute(NFTA_DATA_VALUE, bytes(size)))
    return _nested(NFTA_LIST_ELEM, element)[:-size]


def _nested(kind: int, attributes: bytes) -> bytes:
    return netlink.attribute(netlink.NLA_F_NESTED | kind, attributes)
