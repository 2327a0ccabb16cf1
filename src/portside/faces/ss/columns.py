"""ss's columns: each as wide as its longest cell, on a terminal spread over the whole width.

Lines are kept until they are drawn, because the longest cell may be in the last.  ss keeps them in pieces of 1 MiB
and draws what it has at the first line after the fifth piece was begun, so a long listing may change its widths at
these places: they are found as ss finds them (`_Pieces`), where the widths differ at all.  What ss has not finished
when it draws, the last cell of all, is not measured.  Widths count bytes.  Reference: misc/ss.c of iproute2 6.1.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from portside.faces.ss.context import Line

NETID, STATE, RECEIVE, SEND, LOCAL, LOCAL_PORT, PEER, PEER_PORT, REST = range(9)
HEADER: Line = (
    "Netid", "State", "Recv-Q", "Send-Q", "Local Address:", "Port", "Peer Address:", "Port", "Process"
)  # fmt: skip
_BEFORE = ("", " ", " ", " ", " ", "", " ", "", "")
_RIGHT = (LOCAL, PEER)

_PIECE = (1 << 20) - 16  # BUF_CHUNK without its two pointers
_PIECES = 5  # BUF_CHUNKS_MAX
_LENGTH = 2  # bytes before each cell
_TOGETHER = 4096  # lines written at once


class Columns:
    """Takes lines, draws them with `write`.  `hidden` columns are left out, `screen` is the terminal's width."""

    def __init__(self, write: Callable[[str], object], hidden: frozenset[int], screen: int = 0) -> None:
        self._write = write
        self._screen = screen
        self._shown = [column for column in range(len(HEADER)) if column not in hidden]
        self._longest = [0] * len(HEADER)
        self._rows: list[Line] = []

    def header(self) -> None:
        """Take the line of headings."""
        self._rows.append(HEADER)

    def add(self, lines: Iterator[Line]) -> None:
        """Take the lines of a table."""
        self._rows.extend(lines)

    def draw(self) -> None:
        """Write everything taken since the last time."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        whole = self._measure(rows)
        starts = self._breaks(rows, whole) if self._bytes(whole, len(rows)) > (_PIECES - 1) * _PIECE else []
        if not starts:
            self._draw(rows, self._finished(rows, whole))
            return
        for start, end in zip([0, *starts], [*starts, len(rows)], strict=True):
            piece = rows[start:end]
            longest = self._measure(piece)
            self._draw(piece, self._finished(piece, longest) if end == len(rows) else longest)

    def _bytes(self, longest: Sequence[int], lines: int) -> int:
        """Return how many bytes so many lines take at most."""
        return lines * sum(_room(longest[column]) for column in (*self._shown, REST))

    def _measure(self, rows: Sequence[Line]) -> list[int]:
        """Return the longest cell of each column, of those drawn before too."""
        longest = list(self._longest)
        for column in self._shown:
            longest[column] = max(longest[column], _longest([row[column] for row in rows]))
        return longest

    def _finished(self, rows: Sequence[Line], longest: list[int]) -> list[int]:
        """Return the same without the last cell of all, which is not finished; that of the headings is."""
        last = rows[-1]
        if last is not HEADER and _size(last[REST]) == longest[REST]:
            longest[REST] = max(self._longest[REST], _longest([row[REST] for row in rows[:-1]]))
        return longest

    def _breaks(self, rows: list[Line], whole: list[int]) -> list[int]:
        """Return the places where ss begins to draw anew; none where all widths are known before the first."""
        safe = (_PIECES - 1) * _PIECE // self._bytes(whole, 1)
        if self._measure(rows[:safe]) == whole:
            return []
        pieces = _Pieces()
        found = []
        for number, row in enumerate(rows):
            if pieces.full():
                found.append(number)
                pieces = _Pieces()
            for column in self._shown:
                pieces.cell(_size(row[column]))
            pieces.cell(0)  # a tenth column, which has nothing in it
        return found

    def _draw(self, rows: list[Line], longest: list[int]) -> None:
        self._longest = longest
        widths = self._spread(self._compact())
        form = self._form(widths)
        for start in range(0, len(rows), _TOGETHER):
            some = rows[start : start + _TOGETHER]
            text = "".join([form % row for row in some])
            if not text.isascii():
                text = "".join([self._plainly(row, widths) for row in some])
            self._write(text)

    def _compact(self) -> dict[int, int]:
        """Return each column's width, the blank before it included, as long as the screen is wide enough."""
        widths: dict[int, int] = {}
        for column in self._shown:
            longest = self._longest[column]
            width = longest + len(_BEFORE[column]) if longest and any(widths.values()) else longest
            widths[column] = min(width, self._screen) if self._screen else width
        return widths

    def _spread(self, widths: dict[int, int]) -> dict[int, int]:
        """Share what is left of the screen among the columns that are on one of its lines."""
        wide = [column for column in widths if widths[column]]
        if not self._screen or not wide:
            return widths
        made = dict(widths)
        line: list[int] = []
        used = 0
        at = 0
        while at < len(wide):
            line.append(wide[at])
            used += widths[wide[at]]
            if used < self._screen and at < len(wide) - 1:
                at += 1
                continue
            if used > self._screen:  # this column begins the next line
                used -= widths[line.pop()]
                at -= 1
            if used < self._screen and line:
                share, rest = divmod(self._screen - used, len(line))
                for count, column in enumerate(reversed(line)):
                    made[column] += share + (count < rest)
            line, used = [], 0
            at += 1
        return made

    def _form(self, widths: dict[int, int]) -> str:
        """Return what `%` makes a line of cells from."""
        pieces = []
        for column in range(len(HEADER)):
            if column not in widths:
                pieces.append("%.0s")
                continue
            before = _BEFORE[column] if column != self._shown[0] else ""
            width = max(widths[column] - len(before), 0)
            pieces.append(f"{before}%{'' if column in _RIGHT else '-'}{width or ''}s")
        return "".join(pieces) + "\n"

    def _plainly(self, row: Line, widths: dict[int, int]) -> str:
        """Return a line whose cells are longer in bytes than in characters."""
        text = ""
        for column in self._shown:
            before = _BEFORE[column] if column != self._shown[0] else ""
            blanks = " " * (widths[column] - len(before) - _size(row[column]))
            cell = row[column]
            text += before + (blanks + cell if column in _RIGHT else cell + blanks)
        return text + "\n"


class _Pieces:
    """Where ss would keep cells: each with its length before it, at an even place, in pieces of memory."""

    def __init__(self) -> None:
        self._count = 1
        self._end = _LENGTH

    def full(self) -> bool:
        """Whether ss draws before the next line."""
        return self._count >= _PIECES

    def cell(self, size: int) -> None:
        if size and size >= _PIECE - self._end and self._end > _LENGTH:
            self._next()
        self._end += size
        if _PIECE - self._end - size % 2 < _LENGTH:
            self._next()
        else:
            self._end += size % 2 + _LENGTH

    def _next(self) -> None:
        self._count += 1
        self._end = _LENGTH


def _room(size: int) -> int:
    return size + size % 2 + _LENGTH


def _size(cell: str) -> int:
    return len(cell) if cell.isascii() else len(cell.encode())


def _longest(cells: list[str]) -> int:
    if "".join(cells).isascii():
        return max(map(len, cells), default=0)
    return max(map(_size, cells), default=0)
