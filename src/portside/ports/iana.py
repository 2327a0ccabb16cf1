"""IANA's Service Name and Transport Protocol Port Number Registry, read from `registry.bin` (RFC 6335).

The file is a text header (`head -c 300` shows its date, provenance and record count), an empty line, and blocks,
zlib-packed one by one so that a question inflates only what it needs:

    index     entries with a name and a number, by number: a byte plane of port >> 8, one of port & 255, one of
              transport bits; then text: a line `row:last` for those that are ranges, a line with the size of each
              chunk of names
    names     their names, one a line, in chunks of 256 rows, each packed for itself
    texts     their descriptions (one a line; `=` is the name again), a NUL, lines `row<TAB>reference`
    others    names without a number, and numbers reserved or unassigned: name, ports, transport bits, description,
              reference, tab-separated

A row is an entry: records that differ in transport alone share one.  Planes are searched with `bytes.find`, which
needs no index to be built.  zlib, because lzma makes the file an eighth smaller and takes five times as long to read;
in chunks, because the names of some twenty ports are what every `portside list` asks for.
`tools/make_registry.py` writes the file.
"""

from __future__ import annotations

from zlib import decompress

from portside.errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # name, first port, last port, transports, description, reference
    Other = tuple[str, int | None, int | None, tuple[str, ...], str, str]

FORMAT = "Portside service registry, format 1"
SAME_AS_NAME = "="
CHUNK_ROWS = 256


class Table:
    """The registry's entries, looked up by number, name or text; what is not asked for is not inflated."""

    def __init__(self, data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        lines = head.decode("utf-8", "replace").split("\n")
        if lines[0] != FORMAT:
            raise BadReply("read service registry", "", "not of the expected format", "install portside anew")
        self.header = dict(line.split(": ", 1) for line in lines[1:])
        self._transports = ["" if word == "-" else word for word in self.header["transports"].split(" ")]
        self._transports_by_mask: dict[int, tuple[str, ...]] = {}
        self._blocks = _cut(body, self.header["blocks"])
        self.rows = rows = int(self.header["rows"])
        index = decompress(self._blocks["index"])
        self._high, self._low, self._mask = (index[at * rows : (at + 1) * rows] for at in range(3))
        spans, sizes = index[3 * rows :].decode().split("\n")
        self._last = {int(row): int(last) for row, _, last in (span.partition(":") for span in spans.split())}
        self._spans = [(row, self._first(row), last) for row, last in self._last.items()]
        self._chunk_sizes = [int(size) for size in sizes.split()]
        self._chunks: dict[int, list[str]] = {}
        self._folded = ""
        self._descriptions: list[str] = []
        self._references: dict[int, str] = {}
        self._others: list[Other] = []

    def rows_of_port(self, port: int) -> list[int]:
        """Return the rows of the entries that `port` belongs to, in the registry's order."""
        rows = [row for row, first, last in self._spans if first < port <= last]
        high, low = port >> 8, port & 255
        end = self._high.rfind(high) + 1
        row = self._low.find(low, self._high.find(high), end) if end else -1
        while 0 <= row < end and self._low[row] == low:
            rows.append(row)
            row += 1
        return rows

    def rows_of_range(self, low: int, high: int) -> list[int]:
        """Return the rows of the entries that have a port from `low` to `high`."""
        bounds = ((row, self.ports(row)) for row in range(self.rows))
        return [row for row, (first, last) in bounds if first <= high and low <= last]

    def rows_of_name(self, name: str) -> list[int]:
        """Return the rows of a name; case does not matter (RFC 6335, 5.1)."""
        if not name or "\n" in name:
            return []
        if not self._folded:
            self._folded = "\n" + "\n".join(self.names()).lower() + "\n"
        wanted = f"\n{name.lower()}\n"
        rows, at = [], self._folded.find(wanted)
        while at >= 0:
            rows.append(self._folded.count("\n", 0, at))
            at = self._folded.find(wanted, at + 1)
        return rows

    def name(self, row: int) -> str:
        """Return the name of a row."""
        number, place = divmod(row, CHUNK_ROWS)
        return (self._chunks.get(number) or self._inflate_chunk(number))[place]

    def names(self) -> list[str]:
        """Return the names of all rows."""
        return [
            name
            for number in range(len(self._chunk_sizes))
            for name in self._chunks.get(number) or self._inflate_chunk(number)
        ]

    def ports(self, row: int) -> tuple[int, int]:
        """Return the first and last port of a row, nearly always the same."""
        first = self._first(row)
        return first, self._last.get(row, first)

    def transports(self, row: int) -> tuple[str, ...]:
        """Return the transports of a row; an empty one where the registry names none."""
        return self._transports_of(self._mask[row])

    def description(self, row: int) -> str:
        """Return what the registry says the service is."""
        if not self._descriptions:
            self._inflate_texts()
        text = self._descriptions[row]
        return self.name(row) if text == SAME_AS_NAME else text

    def reference(self, row: int) -> str:
        """Return the documents a row cites, mostly none: `[RFC9110]`."""
        if not self._descriptions:
            self._inflate_texts()
        return self._references.get(row, "")

    def others(self) -> list[Other]:
        """Return the entries without a name or a number (first and last port are None)."""
        if not self._others:
            lines = decompress(self._blocks["others"]).decode().split("\n")
            self._others = [self._other(line) for line in lines if line]
        return self._others

    def _first(self, row: int) -> int:
        return self._high[row] << 8 | self._low[row]

    def _transports_of(self, mask: int) -> tuple[str, ...]:
        words = self._transports_by_mask.get(mask)
        if words is None:
            words = tuple([word for bit, word in enumerate(self._transports) if mask >> bit & 1])
            self._transports_by_mask[mask] = words
        return words

    def _inflate_chunk(self, number: int) -> list[str]:
        start = sum(self._chunk_sizes[:number])
        packed = self._blocks["names"][start : start + self._chunk_sizes[number]]
        names = self._chunks[number] = decompress(packed).decode().split("\n")
        return names

    def _inflate_texts(self) -> None:
        descriptions, _, references = decompress(self._blocks["texts"]).decode().partition("\0")
        pairs = (line.partition("\t") for line in references.splitlines())
        self._references = {int(row): reference for row, _, reference in pairs}
        self._descriptions = descriptions.split("\n")

    def _other(self, line: str) -> Other:
        name, numbers, mask, description, reference = line.split("\t")
        start, dash, end = numbers.partition("-")
        first = int(start) if start else None
        last = int(end) if dash else first
        if description == SAME_AS_NAME:
            description = name
        return name, first, last, self._transports_of(int(mask)), description, reference


def _cut(body: bytes, sizes: str) -> dict[str, bytes]:
    """Return the blocks that `name=size name=size ...` describes."""
    blocks, at = {}, 0
    for field in sizes.split(" "):
        name, _, size = field.partition("=")
        blocks[name] = body[at : at + int(size)]
        at += int(size)
    return blocks


_shipped: Table | None = None


def shipped_table() -> Table:
    """Return the registry that Portside ships, read once in a process."""
    global _shipped
    if _shipped is None:
        assert __spec__ is not None
        loader: Any = __spec__.loader
        _shipped = Table(loader.get_data(f"{__file__.rpartition('/')[0]}/registry.bin"))
    return _shipped
