"""What -i tells of kernel TLS and of MPTCP, the subflow's side and the connection's.  Reference: misc/ss.c."""

from __future__ import annotations

from portside.faces import printable
from portside.wire import tcp_info, ulp_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Told = Mapping[str, object]

_VERSIONS = {ulp_info.TLS_1_2_VERSION: "1.2", ulp_info.TLS_1_3_VERSION: "1.3"}
_CIPHERS = {ulp_info.TLS_CIPHER_AES_GCM_128: "aes-gcm-128", ulp_info.TLS_CIPHER_AES_GCM_256: "aes-gcm-256"}
_CONFIGURATIONS = {
    ulp_info.TLS_CONF_BASE: "none",
    ulp_info.TLS_CONF_SW: "sw",
    ulp_info.TLS_CONF_HW: "hw",
    ulp_info.TLS_CONF_HW_RECORD: "hw-record",
}

# MPTCP_SUBFLOW_FLAG_*, from bit 0: capable, join, backup of the remote and the local side, then the state
_FLAGS = "MmJjBbecv"
_MAPPING = (("seq", "map_seq"), ("sfseq", "map_sfseq"), ("ssnoff", "ssn_offset"), ("maplen", "map_datalen"))
_CONNECTION = (
    ("subflows", "mptcpi_subflows"), ("add_addr_signal", "mptcpi_add_addr_signal"),
    ("add_addr_accepted", "mptcpi_add_addr_accepted"), ("subflows_max", "mptcpi_subflows_max"),
    ("add_addr_signal_max", "mptcpi_add_addr_signal_max"),
    ("add_addr_accepted_max", "mptcpi_add_addr_accepted_max"),
)  # fmt: skip
_SEQUENCES = (
    ("token", "mptcpi_token"), ("write_seq", "mptcpi_write_seq"), ("snd_una", "mptcpi_snd_una"),
    ("rcv_nxt", "mptcpi_rcv_nxt"),
)  # fmt: skip


def text(told: Told) -> str:
    """Return ` tcp-ulp-tls version: 1.3 ...` of what `wire.ulp_info.ulp` decoded."""
    name, tls, subflow = told.get("name"), told.get("tls"), told.get("mptcp")
    return (
        (f" tcp-ulp-{printable(str(name))}" if name is not None else "")
        + (_tls(tls) if isinstance(tls, dict) else "")
        + (_subflow(subflow) if isinstance(subflow, dict) else "")
    )


def _tls(told: Told) -> str:
    written = ""
    version = told.get("version")
    if isinstance(version, int):
        written += f" version: {_VERSIONS.get(version) or f'unknown({version})'}"
    cipher = told.get("cipher")
    if cipher in _CIPHERS:
        written += f" cipher: {_CIPHERS[cipher]}"
    for word in ("rxconf", "txconf"):
        number = told.get(word)
        if isinstance(number, int):
            written += f" {word}: {_CONFIGURATIONS.get(number) or f'unknown({number})'}"
    return written + (" zc_ro_tx" if "zc_ro_tx" in told else "")


def _subflow(told: Told) -> str:
    written = ""
    flags = told.get("flags")
    if isinstance(flags, int) and flags:
        written += " flags:" + "".join(letter for bit, letter in enumerate(_FLAGS) if flags >> bit & 1)
    names = ("token_rem", "id_rem", "token_loc", "id_loc")
    if all(name in told for name in names):
        written += " token:{:04x}(id:{})/{:04x}(id:{})".format(*(told[name] for name in names))
    for word, name in (
        ("seq", "map_seq"),
        ("sfseq", "map_sfseq"),
        ("ssnoff", "ssn_offset"),
        ("maplen", "map_datalen"),
    ):
        number = told.get(name)
        if isinstance(number, int):
            written += f" {word}:{number:x}"
    return written


def mptcp(payload: bytes) -> str:
    """Return what -i adds to an MPTCP socket, of its struct mptcp_info."""
    info = tcp_info.read(ulp_info.MPTCP_INFO, payload)
    flags = info["mptcpi_flags"]
    return (
        "".join(f" {word}:{info[field]}" for word, field in _CONNECTION if info[field])
        + (" fallback" if flags & ulp_info.MPTCP_INFO_FLAG_FALLBACK else "")
        + (" remote_key" if flags & ulp_info.MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED else "")
        + "".join(f" {word}:{info[field]:x}" for word, field in _SEQUENCES if info[field])
    )
