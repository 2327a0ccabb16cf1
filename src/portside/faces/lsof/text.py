r"""Foreign text as lsof writes it: `^[` for escape, `\n`, `\xff`; names of commands also without blanks.

A character outside ASCII goes out as it is where the user's locale is UTF-8 and it can be printed, byte by byte as
`\xNN` otherwise; in the COMMAND column always so.  Widths count what lsof counts: two for such a byte, though four
are written, so that a name may be cut between two of them.
"""

from __future__ import annotations

import os
import sys

_LETTERS = {0x08: "\\b", 0x09: "\\t", 0x0A: "\\n", 0x0C: "\\f", 0x0D: "\\r", 0x5C: "\\\\"}
_locale: list[bool] = []  # whether it is UTF-8, once somebody asked


def safe(text: str) -> str:
    """Return text for a terminal; plain text comes back as it is."""
    if _plain(text):
        return text
    return "".join(one if _plain(one) or _wide(one) else _bytes(one) for one in text)


def column(text: str, width: int) -> str:
    """Return a command's name for a column: escaped, blanks too, cut to `width` and padded to it."""
    if " " not in text and _plain(text):
        return f"{text:<{width}.{width}}"
    told = ""
    for byte in os.fsencode(text):
        piece = _byte(byte)
        if len(told) + len(piece) > width:
            break
        told += piece
    return told.ljust(width)


def length(text: str) -> int:
    """Return the length of a command's name as lsof counts it."""
    if " " not in text and _plain(text):
        return len(text)
    return sum(map(_counted, os.fsencode(text)))


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "\\" not in text


def _byte(byte: int) -> str:
    return chr(byte) if 0x20 < byte < 0x7F and byte != 0x5C else _escape(byte)


def _counted(byte: int) -> int:
    if 0x20 < byte < 0x7F and byte != 0x5C:
        return 1
    return 4 if byte in (0x20, 0x7F) else 2


def _bytes(one: str) -> str:
    return "".join(map(_escape, os.fsencode(one)))


def _escape(byte: int) -> str:
    if byte in _LETTERS:
        return _LETTERS[byte]
    return f"^{chr(byte + 0x40)}" if byte < 0x20 else f"\\x{byte:02x}"


def _wide(one: str) -> bool:
    """Whether a character goes out as it is: one that prints, in a locale that has it."""
    if not one.isprintable() or one.isascii():
        return False
    if not _locale:
        from portside.system.locale import is_utf8

        _locale.append(is_utf8() and _can_be_written())
    return _locale[0]


def _can_be_written() -> bool:
    """Whether standard output takes any character: it may have another encoding than the locale's."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower() in ("utf-8", "utf8")
