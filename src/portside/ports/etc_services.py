"""The text of a host's /etc/services (services(5)): `name  port/transport  aliases...  # comment`.

A line that is not of that form is left out, as the C library does; the text is read by `system`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    HostService = tuple[str, int, str, tuple[str, ...], str]  # name, port, transport, aliases, comment


def index_services(text: str) -> dict[str, list[str]]:
    """Return the names of each `port/transport` word, official names and aliases in the file's order.

    Words that are no port are kept: nobody asks for them, and not looking makes this as quick as it must be.
    """
    names: dict[str, list[str]] = {}
    for line in text.split("\n"):
        fields = line.partition("#")[0].split()
        if len(fields) > 1:
            port = fields.pop(1)
            if port in names:
                names[port] += fields
            else:
                names[port] = fields
    return names


def parse_services(text: str) -> Iterator[HostService]:
    """Yield (name, port, transport, aliases, comment) of each entry, in the file's order."""
    for line in text.split("\n"):
        entry, _, comment = line.partition("#")
        fields = entry.split()
        if len(fields) > 1:
            number, _, transport = fields[1].partition("/")
            if transport and _is_port(number):
                yield fields[0], int(number), transport, tuple(fields[2:]), comment.strip()


def _is_port(number: str) -> bool:
    return (
        number.isascii()
        and number.isdecimal()
        and len(number) < 6
        and int(number) < 65536
        and (number[0] != "0" or number == "0")
    )
