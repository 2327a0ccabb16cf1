"""Make `src/portside/ports/registry.bin` of IANA's registry: `tools/make_registry.py CSV [OUTPUT]`.

CSV is the registry as IANA publishes it, service-names-port-numbers.csv, from
https://www.iana.org/assignments/service-names-port-numbers/ (CC0 1.0).  Kept of each record: name, number or range,
transport, description, reference; runs of blanks and line ends in the last two become one blank.  The same input
gives the same file (for one build of zlib).  What was written is read back and compared with the input, record by
record, before the file is replaced.  The format is described in `portside/ports/iana.py`.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import zlib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from portside.ports.iana import CHUNK_ROWS, FORMAT, SAME_AS_NAME, Table  # noqa: E402

OUTPUT = ROOT / "src/portside/ports/registry.bin"
PUBLISHED = "2025-03"
TRANSPORTS = ("", "tcp", "udp", "sctp", "dccp")  # bit 0, 1, ...

Text = tuple[str, str, str, str]  # name, ports, description, reference: what shares a row
Record = tuple[str, str, str, str, str]  # the same with the transport before the description


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the service registry of IANA's CSV.")
    parser.add_argument("csv", type=Path, help="service-names-port-numbers.csv, as IANA publishes it")
    parser.add_argument("output", type=Path, nargs="?", default=OUTPUT)
    parser.add_argument("--published", default=PUBLISHED, help="date of the copy (default: %(default)s)")
    options = parser.parse_args()
    records = read_csv(options.csv)
    data = encode(records, options.published)
    verify(records, data)
    scratch = options.output.with_suffix(".new")
    scratch.write_bytes(data)
    os.replace(scratch, options.output)
    print(f"{options.output}: {len(records)} records in {len(data)} bytes")
    return 0


def read_csv(path: Path) -> list[Record]:
    """Return the registry's records in its order."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            (
                row["Service Name"].strip(),
                canonical(row["Port Number"].strip()),
                row["Transport Protocol"].strip().lower(),
                " ".join(row["Description"].split()),
                " ".join(row["Reference"].split()),
            )
            for row in csv.DictReader(file)
        ]


def encode(records: list[Record], published: str) -> bytes:
    """Return the file's bytes."""
    rows = merge_transports(records)
    assigned = sorted((row for row in rows if row[0][0] and row[0][1]), key=lambda row: bounds(row[0][1])[0])
    others = [row for row in rows if not (row[0][0] and row[0][1])]
    chunks = [pack("\n".join(text[0] for text, _ in chunk)) for chunk in chunked(assigned)]
    blocks = {
        "index": zlib.compress(index_block(assigned, [len(chunk) for chunk in chunks]), 9),
        "names": b"".join(chunks),
        "texts": pack(texts_block([text for text, _ in assigned])),
        "others": pack("\n".join("\t".join(other_fields(text, mask)) for text, mask in others)),
    }
    header = (
        FORMAT,
        f"source: IANA Service Name and Transport Protocol Port Number Registry, copy of {published}",
        "licence: CC0 1.0 (IANA licensing terms; joint IANA/IETF Trust statement of 2021-11-10)",
        f"records: {len(records)}",
        f"rows: {len(assigned)}",
        f"transports: {' '.join(word or '-' for word in TRANSPORTS)}",
        f"blocks: {' '.join(f'{name}={len(block)}' for name, block in blocks.items())}",
        "made-by: tools/make_registry.py",
    )
    return "\n".join(header).encode() + b"\n\n" + b"".join(blocks.values())


def merge_transports(records: list[Record]) -> list[tuple[Text, int]]:
    """Return (text, transport bits) rows: records that differ in transport alone become one."""
    masks: dict[Text, int] = {}
    for name, ports, transport, description, reference in records:
        if description == SAME_AS_NAME or transport not in TRANSPORTS:
            sys.exit(f"record {name!r} {ports!r}: the format has no room for {transport!r} {description!r}")
        text = (name, ports, description, reference)
        masks[text] = masks.get(text, 0) | 1 << TRANSPORTS.index(transport)
    return list(masks.items())


def chunked(rows: list[tuple[Text, int]]) -> list[list[tuple[Text, int]]]:
    return [rows[at : at + CHUNK_ROWS] for at in range(0, len(rows), CHUNK_ROWS)]


def pack(text: str) -> bytes:
    return zlib.compress(text.encode(), 9)


def index_block(rows: list[tuple[Text, int]], chunk_sizes: list[int]) -> bytes:
    """Return the planes, the last port of each row that is a range, the sizes of the chunks of names."""
    ports = [bounds(text[1]) for text, _ in rows]
    planes = bytes(first >> 8 for first, _ in ports) + bytes(first & 255 for first, _ in ports)
    spans = " ".join(f"{row}:{last}" for row, (first, last) in enumerate(ports) if last != first)
    sizes = " ".join(map(str, chunk_sizes))
    return planes + bytes(mask for _, mask in rows) + f"{spans}\n{sizes}".encode()


def texts_block(texts: list[Text]) -> str:
    """Return the descriptions and the sparse references."""
    descriptions = "\n".join(described(name, description) for name, _, description, _ in texts)
    references = "\n".join(f"{row}\t{text[3]}" for row, text in enumerate(texts) if text[3])
    return f"{descriptions}\0{references}"


def other_fields(text: Text, mask: int) -> tuple[str, ...]:
    name, ports, description, reference = text
    return name, ports, str(mask), described(name, description), reference


def described(name: str, description: str) -> str:
    return SAME_AS_NAME if name and description == name else description


def canonical(ports: str) -> str:
    """Return `7` for `7-7`, which the registry has a few times; anything else as it is."""
    first, _, last = ports.partition("-")
    return first if first == last else ports


def bounds(ports: str) -> tuple[int, int]:
    first, dash, last = ports.partition("-")
    return int(first), int(last if dash else first)


def verify(records: list[Record], data: bytes) -> None:
    """Stop unless `data` gives back every record, and the names of each port in the registry's order."""
    table = Table(data)
    decoded = decode(table)
    if Counter(decoded) != Counter(records):
        missing, extra = Counter(records) - Counter(decoded), Counter(decoded) - Counter(records)
        sys.exit(f"not the same records: missing {list(missing)[:3]}, extra {list(extra)[:3]}")
    if names_in_order(decoded) != names_in_order(records):
        sys.exit("the names of a port are not in the registry's order")


def decode(table: Table) -> list[Record]:
    """Return all records of a table."""
    records = [
        (table.name(row), in_text(*table.ports(row)), transport, table.description(row), table.reference(row))
        for row in range(table.rows)
        for transport in table.transports(row)
    ]
    for name, first, last, transports, description, reference in table.others():
        ports = in_text(first, last)
        records += [(name, ports, transport, description, reference) for transport in transports]
    return records


def in_text(first: int | None, last: int | None) -> str:
    if first is None:
        return ""
    return str(first) if first == last else f"{first}-{last}"


def names_in_order(records: list[Record]) -> dict[tuple[str, str], list[str]]:
    names: dict[tuple[str, str], list[str]] = {}
    for name, ports, transport, _, _ in records:
        if name and ports:
            names.setdefault((ports, transport), []).append(name)
    return names


if __name__ == "__main__":
    sys.exit(main())
