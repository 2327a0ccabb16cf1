"""struct sctp_info, the INET_DIAG_INFO of an SCTP socket (include/uapi/linux/sctp.h), and sctp_diag's addresses."""

from __future__ import annotations

import sys

from portside.wire.layout import Layout
from portside.wire.sock_diag import AF_INET, AF_INET6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# read with `tcp_info.read`
SCTP_INFO = Layout(
    "sctp_info", "I sctpi_tag", "I sctpi_state", "I sctpi_rwnd", "H sctpi_unackdata", "H sctpi_penddata",
    "H sctpi_instrms", "H sctpi_outstrms", "I sctpi_fragmentation_point", "I sctpi_inqueue", "I sctpi_outqueue",
    "I sctpi_overall_error", "I sctpi_max_burst", "I sctpi_maxseg", "I sctpi_peer_rwnd", "I sctpi_peer_tag",
    "B sctpi_peer_capable", "B sctpi_peer_sack", "2x", "Q sctpi_isacks", "Q sctpi_osacks", "Q sctpi_opackets",
    "Q sctpi_ipackets", "Q sctpi_rtxchunks", "Q sctpi_outofseqtsns", "Q sctpi_idupchunks", "Q sctpi_gapcnt",
    "Q sctpi_ouodchunks", "Q sctpi_iuodchunks", "Q sctpi_oodchunks", "Q sctpi_iodchunks", "Q sctpi_octrlchunks",
    "Q sctpi_ictrlchunks", "128x", "i sctpi_p_state", "I sctpi_p_cwnd", "I sctpi_p_srtt", "I sctpi_p_rto",
    "I sctpi_p_hbinterval", "I sctpi_p_pathmaxrxt", "I sctpi_p_sackdelay", "I sctpi_p_sackfreq",
    "I sctpi_p_ssthresh", "I sctpi_p_partial_bytes_acked", "I sctpi_p_flight_size", "H sctpi_p_error", "2x",
    "I sctpi_s_autoclose", "I sctpi_s_adaptation_ind", "I sctpi_s_pd_point", "B sctpi_s_nodelay",
    "B sctpi_s_disable_fragments", "B sctpi_s_v4mapped", "B sctpi_s_frag_interleave", "I sctpi_s_type", "4x",
)  # fmt: skip

_SOCKADDR_STORAGE = 128
_AT = {AF_INET: (4, 8), AF_INET6: (8, 24)}  # where sockaddr_in and sockaddr_in6 hold the address


def addresses(payload: bytes) -> Iterator[bytes]:
    """Yield the raw addresses of INET_DIAG_LOCALS or _PEERS; empty for one of another family."""
    for start in range(0, len(payload) // _SOCKADDR_STORAGE * _SOCKADDR_STORAGE, _SOCKADDR_STORAGE):
        family = int.from_bytes(payload[start : start + 2], sys.byteorder)
        first, last = _AT.get(family, (0, 0))
        yield payload[start + first : start + last]
