"""What sits on top of a TCP socket (INET_DIAG_ULP_INFO): kernel TLS, or the MPTCP connection it is a subflow of.

And struct mptcp_info, which is the INET_DIAG_INFO of an MPTCP socket itself; read it with `tcp_info.read`.
Reference: include/uapi/linux/inet_diag.h, tls.h, mptcp.h.
"""

from __future__ import annotations

from portside.wire import sock_diag
from portside.wire.layout import Layout

MPTCP_INFO = Layout(
    "mptcp_info", "B mptcpi_subflows", "B mptcpi_add_addr_signal", "B mptcpi_add_addr_accepted",
    "B mptcpi_subflows_max", "B mptcpi_add_addr_signal_max", "B mptcpi_add_addr_accepted_max", "2x",
    "I mptcpi_flags", "I mptcpi_token", "Q mptcpi_write_seq", "Q mptcpi_snd_una", "Q mptcpi_rcv_nxt",
)  # fmt: skip

# mptcpi_flags
MPTCP_INFO_FLAG_FALLBACK = 1
MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED = 2

# tls.h: protocol versions, ciphers, and where the records are made
TLS_1_2_VERSION = 0x0303
TLS_1_3_VERSION = 0x0304
TLS_CIPHER_AES_GCM_128 = 51
TLS_CIPHER_AES_GCM_256 = 52
TLS_CONF_BASE = 1
TLS_CONF_SW = 2
TLS_CONF_HW = 3
TLS_CONF_HW_RECORD = 4

TLS_ATTRIBUTES: sock_diag.Table = {
    1: ("version", sock_diag.number),
    2: ("cipher", sock_diag.number),
    3: ("txconf", sock_diag.number),
    4: ("rxconf", sock_diag.number),
    5: ("zc_ro_tx", bytes),  # 5.19, a flag: it has no payload
    6: ("rx_no_pad", bytes),
}
SUBFLOW_ATTRIBUTES: sock_diag.Table = {
    1: ("token_rem", sock_diag.number),
    2: ("token_loc", sock_diag.number),
    3: ("relwrite_seq", sock_diag.number),
    4: ("map_seq", sock_diag.number),
    5: ("map_sfseq", sock_diag.number),
    6: ("ssn_offset", sock_diag.number),
    7: ("map_datalen", sock_diag.number),
    8: ("flags", sock_diag.number),
    9: ("id_rem", sock_diag.number),
    10: ("id_loc", sock_diag.number),
}
ULP_ATTRIBUTES: sock_diag.Table = {
    1: ("name", sock_diag.text),
    2: ("tls", lambda payload: sock_diag.decode(payload, 0, len(payload), TLS_ATTRIBUTES)),
    3: ("mptcp", lambda payload: sock_diag.decode(payload, 0, len(payload), SUBFLOW_ATTRIBUTES)),
}


def ulp(payload: bytes) -> dict[str, object]:
    """Decode INET_DIAG_ULP_INFO: `name`, and a dict under `tls` or `mptcp`; raises BadReply."""
    return sock_diag.decode(payload, 0, len(payload), ULP_ATTRIBUTES)
