"""The words of a filter: text -> tokens, and the error that points at one.

Blanks separate words, and so does every symbol, so `(sport=22)` needs none.  Quotes (' or ") keep blanks and symbols
in a value, a backslash keeps the one character after it.  Before `*`, `?` and another backslash the backslash stays
in the token: there it decides between a wildcard and the plain character (`plain` removes it).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

WORD = "word"
QUOTED = "quoted"
SYMBOL = "symbol"
END = "end"

_DOUBLE = frozenset(("||", "&&", "==", "!=", "<=", ">="))
_SINGLE = frozenset("|&!=<>(),")
_QUOTES = frozenset("'\"")
_KEPT = frozenset("*?\\")  # characters whose backslash stays
_PICTURE_WIDTH = 100


class Token(Record):
    """One word or symbol: its kind, its text without quotes, and where it stands (`start` <= index < `end`)."""

    kind: str
    text: str
    start: int
    end: int

    def __str__(self) -> str:
        return "the end" if self.kind == END else repr(shorten(self.text))


def tokens(text: str) -> list[Token]:
    """Split `text`; the last token is always the end.  Raises BadRequest for a quote that is not closed."""
    found: list[Token] = []
    position, size = 0, len(text)
    while position < size:
        character = text[position]
        if character.isspace():
            position += 1
            continue
        if text[position : position + 2] in _DOUBLE:
            token = Token(SYMBOL, text[position : position + 2], position, position + 2)
        elif character in _SINGLE:
            token = Token(SYMBOL, character, position, position + 1)
        elif character in _QUOTES:
            token = _quoted(text, position)
        else:
            token = _word(text, position)
        found.append(token)
        position = token.end
    found.append(Token(END, "", size, size))
    return found


def _word(text: str, start: int) -> Token:
    position, kept = start, []
    while position < len(text):
        character = text[position]
        if character.isspace() or character in _SINGLE or character in _QUOTES:
            break
        piece, position = _escaped(text, position)
        kept.append(piece)
    return Token(WORD, "".join(kept), start, position)


def _quoted(text: str, start: int) -> Token:
    quote, position, kept = text[start], start + 1, []
    while position < len(text) and text[position] != quote:
        piece, position = _escaped(text, position)
        kept.append(piece)
    if position >= len(text):
        raise fault(text, start, start + 1, "this quote is not closed", f"add the closing {quote}")
    return Token(QUOTED, "".join(kept), start, position + 1)


def _escaped(text: str, position: int) -> tuple[str, int]:
    """Return the character at `position`, its backslash taken off or kept, and where the next one starts."""
    if text[position] != "\\":
        return text[position], position + 1
    following = text[position + 1 : position + 2] or "\\"
    return ("\\" + following if following in _KEPT else following), min(position + 2, len(text))


def plain(text: str) -> str:
    """Return a token's text with the backslashes before `*`, `?` and `\\` removed."""
    if "\\" not in text:
        return text
    kept, escaped = [], False
    for character in text:
        if character == "\\" and not escaped:
            escaped = True
            continue
        kept.append(character)
        escaped = False
    return "".join(kept)


def quote(text: str, reserved: Iterable[str] = ()) -> str:
    """Return a token's text so that it reads back as the same text: bare if it can be, else in quotes."""
    bare = text and text.lower() not in reserved
    if bare and not any(each.isspace() or each in _SINGLE or each in _QUOTES for each in text):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def shorten(text: str, width: int = 40) -> str:
    """Cut a text that would make an error unreadable."""
    return text if len(text) <= width else text[: width - 3] + "..."


def fault(text: str, start: int, end: int, reason: str, next_step: str = "") -> BadRequest:
    """Return the error for `text[start:end]`: the reason, and the filter with that place underlined."""
    picture = f"\n  {_printable(text[_first_shown(text, start) :][:_PICTURE_WIDTH])}"
    column = start - _first_shown(text, start)
    carets = "^" * max(1, min(end, len(text)) - start)
    picture += f"\n  {' ' * column}{carets[: max(1, _PICTURE_WIDTH - column)]}"
    if next_step:
        return BadRequest("parse filter", reason=reason, next_step=next_step + picture)
    return BadRequest("parse filter", reason=reason + picture)


def _first_shown(text: str, start: int) -> int:
    """Return where the picture starts: a long filter is cut before the place the error is about."""
    return max(0, start - _PICTURE_WIDTH // 2) if len(text) > _PICTURE_WIDTH else 0


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known word nearest to `word`, empty if none is near."""
    import difflib

    near = difflib.get_close_matches(word.lower()[:40], list(known), n=1, cutoff=0.6)
    return near[0] if near else ""
