"""The names by which what is ours is known: our table, the comments of our rules, the lines that they log."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.changes.wish import Wish

TABLE = "inet portside"
NFPROTO_INET = 1  # include/uapi/linux/netfilter.h
MARK = (
    "portside:"  # begins the comment of every rule of ours, wherever it stands; the change's number follows
)
PER_SECOND, AT_ONCE = 1, 10  # lines that one rule logs: whoever floods a port must not flood the log


def comment_text(number: int, wish: Wish) -> str:
    """Return the comment by which the rules of a change are found again."""
    return f"{MARK}{number}" + (f" {wish.note}" if wish.note else "")


def comment(number: int, wish: Wish) -> str:
    """Return it as an nft rule has it."""
    return f'comment "{comment_text(number, wish)}"'


def log_prefix(number: int) -> str:
    """Return what begins every line that a change logs."""
    return f"{MARK}{number} "


def log_words(number: int) -> str:
    """Return the statements by which an nft rule logs, and counts its lines; the packet goes on to the next rule."""
    return f'limit rate {PER_SECOND}/second burst {AT_ONCE} packets counter log prefix "{log_prefix(number)}"'
