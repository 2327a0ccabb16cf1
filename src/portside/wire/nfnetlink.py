"""nfnetlink: the tables of nftables (include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h).

Only what tells whether there are any: rules are read through nft(8), which knows every expression.
"""

from __future__ import annotations

from portside.wire import netlink
from portside.wire.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NFGENMSG = Layout("nfgenmsg", "B nfgen_family", "B version", "H res_id")

NFNL_SUBSYS_NFTABLES = 10
NFT_MSG_NEWTABLE = 0
NFT_MSG_GETTABLE = 1
NFTA_TABLE_NAME = 1


def tables_request() -> bytes:
    """Return the dump request for the tables of every family."""
    kind = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE
    return netlink.message(kind, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, NFGENMSG.write())


def tables(buffer: bytes | bytearray | memoryview) -> Iterator[tuple[int, str]]:
    """Yield (family, name) of each table of a dump; raises BadReply where a message is malformed."""
    for part in netlink.messages(buffer):
        if (
            part.type == NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE
            and part.end - part.start >= NFGENMSG.size
        ):
            told = dict(netlink.attributes(buffer, part.start + NFGENMSG.size, part.end))
            name = told.get(NFTA_TABLE_NAME, b"").rstrip(b"\0").decode("utf-8", "replace")
            yield NFGENMSG.read(buffer, part.start)[0], name
