"""What -i tells of an SCTP socket: its addresses and struct sctp_info.  Reference: misc/ss.c."""

from __future__ import annotations

from portside.wire import sctp_info, tcp_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# SCTP_STATE_*, by the kernel's number
STATES = (
    "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTAB", "SHUTDOWN_PENDING", "SHUTDOWN_SENT", "SHUTDOWN_RECEIVED",
    "ACK_SENT",
)  # fmt: skip
_NUMBERS = (
    ("rwnd", "sctpi_rwnd"), ("unackdata", "sctpi_unackdata"), ("penddata", "sctpi_penddata"),
    ("instrms", "sctpi_instrms"), ("outstrms", "sctpi_outstrms"), ("inqueue", "sctpi_inqueue"),
    ("outqueue", "sctpi_outqueue"), ("overerr", "sctpi_overall_error"), ("maxburst", "sctpi_max_burst"),
    ("maxseg", "sctpi_maxseg"), ("prwnd", "sctpi_peer_rwnd"),
)  # fmt: skip
_MORE_NUMBERS = (
    ("pcapable", "sctpi_peer_capable"), ("psack", "sctpi_peer_sack"), ("autoclose", "sctpi_s_autoclose"),
    ("adapind", "sctpi_s_adaptation_ind"), ("pdpoint", "sctpi_s_pd_point"), ("nodelay", "sctpi_s_nodelay"),
    ("nofrag", "sctpi_s_disable_fragments"), ("v4mapped", "sctpi_s_v4mapped"),
    ("fraginl", "sctpi_s_frag_interleave"),
)  # fmt: skip


def text(told: Mapping[str, object]) -> str:
    """Return ` locals:... peers:... tag:...` of an SCTP socket's attributes."""
    written = ""
    for word in ("locals", "peers"):
        payload = told.get(word)
        if isinstance(payload, bytes):
            written += f" {word}:{','.join(_host(raw) for raw in sctp_info.addresses(payload))}"
    payload = told.get("info")
    return written + (_association(payload) if isinstance(payload, bytes) else "")


def _host(raw: bytes) -> str:
    from portside.ports.address import format_ipv4, format_ipv6

    return {4: format_ipv4, 16: format_ipv6}[len(raw)](raw) if raw else ""


def _association(payload: bytes) -> str:
    info = tcp_info.read(sctp_info.SCTP_INFO, payload)
    tag, state, peer = info["sctpi_tag"], info["sctpi_state"], info["sctpi_peer_tag"]
    return (
        (f" tag:{tag:x}" if tag else "")
        + (f" state:{STATES[state] if state < len(STATES) else state}" if state else "")
        + _plain(info, _NUMBERS)
        + (f" ptag:{peer:x}" if peer else "")
        + _plain(info, _MORE_NUMBERS)
    )


def _plain(info: dict[str, int], words: tuple[tuple[str, str], ...]) -> str:
    return "".join(f" {word}:{info[field]}" for word, field in words if info[field])
