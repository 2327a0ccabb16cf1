"""State words of the filter language: names -> a mask of the kernel's state numbers, and back.

The numbers are those of include/net/tcp_states.h.  `close` and `unconnected` are one state (7), as in ss; bit 0
stands for every state that has no number here, so that `exclude X` keeps what a newer kernel invents.
"""

from __future__ import annotations

from portside.wire import tcp_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OTHER = 1

_WORDS = {
    "established": tcp_states.ESTABLISHED,
    "syn-sent": tcp_states.SYN_SENT,
    "syn-recv": tcp_states.SYN_RECV,
    "fin-wait-1": tcp_states.FIN_WAIT1,
    "fin-wait-2": tcp_states.FIN_WAIT2,
    "time-wait": tcp_states.TIME_WAIT,
    "unconnected": tcp_states.CLOSE,
    "close-wait": tcp_states.CLOSE_WAIT,
    "last-ack": tcp_states.LAST_ACK,
    "listen": tcp_states.LISTEN,
    "closing": tcp_states.CLOSING,
    "bound-inactive": tcp_states.BOUND_INACTIVE,
}
_ALIASES = {
    "close": "unconnected",
    "closed": "unconnected",
    "unconn": "unconnected",
    "estab": "established",
    "listening": "listen",
    "syn-rcv": "syn-recv",
    "fin-wait1": "fin-wait-1",
    "fin-wait2": "fin-wait-2",
    "bound": "bound-inactive",
}
NUMBERS = _WORDS | {alias: _WORDS[word] for alias, word in _ALIASES.items()}


def _mask(names: Iterable[str]) -> int:
    return sum(1 << _WORDS[name] for name in names)


ALL = OTHER | _mask(_WORDS)
BUCKET = _mask(("syn-recv", "time-wait"))  # what the kernel keeps as small sockets
CONNECTED = _mask(set(_WORDS) - {"listen", "unconnected", "bound-inactive"})
SYNCHRONIZED = CONNECTED & ~_mask(("syn-sent",))
SETS = {
    "all": ALL,
    "connected": CONNECTED,
    "synchronized": SYNCHRONIZED,
    "bucket": BUCKET,
    "big": ALL & ~BUCKET,
}
WORDS = (*_WORDS, *_ALIASES, *SETS)


def mask_of(word: str) -> int:
    """Return the mask of a state word or of one of ss's sets, in any case, `_` for `-`; 0 if there is none."""
    name = word.lower().replace("_", "-")
    if name in NUMBERS:
        return 1 << NUMBERS[name]
    return SETS.get(name, 0)


def words_of(mask: int) -> str:
    """Return the shortest list of words that stands for `mask` (which does not have the bit of other states)."""
    for name, states in SETS.items():
        if states == mask:
            return name
    return ",".join(name for name, number in _WORDS.items() if mask >> number & 1)
