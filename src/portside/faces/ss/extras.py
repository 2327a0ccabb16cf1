"""The small texts that -o, -e, --tos, --cgroup and --inet-sockopt add behind a socket, each with the blank before it.

Every function takes what the kernel told and returns what ss writes, empty where ss writes nothing.
Reference: misc/ss.c of iproute2 6.1; include/uapi/linux/inet_diag.h.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMERS = ("off", "on", "keepalive", "timewait", "persist", "unknown")

# struct inet_diag_sockopt: two bytes of bit fields, from the lowest bit
_SOCKET_OPTIONS = (
    "recverr", "is_icsk", "freebind", "hdrincl", "mc_loop", "transparent", "mc_all", "nodefrag",
    "bind_addr_no_port", "recverr_rfc4884", "defer_connect",
)  # fmt: skip

# sk_shutdown
_RCV_SHUTDOWN = 1
_SEND_SHUTDOWN = 2


def duration(milliseconds: int) -> str:
    """Return a time as ss writes it: `1min30sec`, `119min`, `59sec`, `9.501ms`, `003ms`; empty for none."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    written = ""
    if minutes:
        rest = 0
        written = f"{minutes}min"
        if minutes > 9:
            seconds = 0
    if seconds:
        if seconds > 9:
            rest = 0
        written += f"{seconds}{'.' if rest else 'sec'}"
    if rest:
        written += f"{rest:03d}ms"
    return written


def timer(number: int, milliseconds: int, retransmits: int) -> str:
    """Return ` timer:(keepalive,119min,0)`; nothing while no timer runs."""
    if not number:
        return ""
    return f" timer:({_TIMERS[min(number, 5)]},{duration(milliseconds)},{retransmits})"


def sctp_timer(number: int, milliseconds: int, retransmits: int) -> str:
    """Return the timer of an SCTP socket: there is one name alone."""
    return f" timer:(T3_RTX,{duration(milliseconds)},{retransmits})" if number else ""


def details(uid: int, inode: int, cookie: int, mark: int = 0, cgroup: str = "") -> str:
    """Return ` uid:1000 ino:4711 sk:2a fwmark:0x1 cgroup:/path`; root, no mark and no cgroup are left out."""
    return (
        (f" uid:{uid}" if uid else "")
        + f" ino:{inode} sk:{cookie:x}"
        + (f" fwmark:0x{mark:x}" if mark else "")
        + (f" cgroup:{cgroup}" if cgroup else "")
    )


def v6only(told: bool | None) -> str:
    """Return ` v6only:1` where the kernel told it."""
    return "" if told is None else f" v6only:{told:d}"


def shutdown(mask: int | None) -> str:
    """Return ` <->`: a dash stands for a direction that is shut down."""
    if mask is None:
        return ""
    return f" {'-' if mask & _RCV_SHUTDOWN else '<'}-{'-' if mask & _SEND_SHUTDOWN else '>'}"


def tos(told: Mapping[str, object]) -> str:
    """Return ` tos:0x10 tclass:0 class_id:0x1` of an IP socket's attributes."""
    return "".join(
        f" {name}:{_hexadecimal(number)}"
        for name in ("tos", "tclass", "class_id")
        if isinstance(number := told.get(name), int)
    )


def _hexadecimal(number: int) -> str:
    """Write a number as C's `%#x`: zero has no prefix."""
    return f"{number:#x}" if number else "0"


def sockopt(payload: bytes, oneline: bool) -> str:
    """Return `inet-sockopt: ( mc_loop mc_all)` on a line of its own; nothing where the kernel sent too little."""
    if len(payload) < 2:
        return ""
    bits = payload[0] | payload[1] << 8
    words = "".join(f" {word}" for bit, word in enumerate(_SOCKET_OPTIONS) if bits >> bit & 1)
    return f"{' ' if oneline else NEW_LINE}inet-sockopt: ({words})"


NEW_LINE = "\n\t"  # where a socket's lines after the first begin


def signed(number: int) -> int:
    """Read 32 bits as C's int, as ss reads queues and port ids."""
    number &= 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number
