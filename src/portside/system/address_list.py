"""Lists of addresses: typed, or in a file of one on each line, as block lists are handed around.

Rule: every entry is an address or a network in one canonical form, each once, in the order given; one that is
neither is an error that names its line.  A comment begins with `#` or `;`.  The C library converts single addresses,
because a list may have 100,000.
"""

from __future__ import annotations

import _socket  # see system.netlink
import os
import sys

from portside.errors import BadRequest, NotPermitted, PortsideError
from portside.ports.address import format_address, parse_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def read(path: str) -> list[str]:
    """Return the addresses in a file (`-`: standard input)."""
    try:
        if path == "-":
            text = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                text = file.read()
    except PermissionError as error:
        raise NotPermitted("read", f"'{path}'", "permission denied", "run it with sudo") from error
    except OSError as error:
        raise PortsideError(
            "read", f"'{path}'", os.strerror(error.errno or 0).lower(), errno=error.errno
        ) from error
    lines = text.decode("utf-8", "replace").splitlines()
    return canonical((number, line) for number, line in enumerate(lines, 1))


def canonical(entries: Iterable[tuple[int, str]]) -> list[str]:
    """Return entries (line number or 0, text) in canonical form, each once; BadRequest for what is no address."""
    found: dict[str, None] = {}
    to_raw, to_text, ipv4, ipv6 = _socket.inet_pton, _socket.inet_ntop, _socket.AF_INET, _socket.AF_INET6
    for number, line in entries:
        text = line.strip()
        family = ipv6 if ":" in text else ipv4
        try:
            found[to_text(family, to_raw(family, text))] = None
        except (OSError, ValueError):
            text = text.partition("#")[0].partition(";")[0].strip()
            if text:
                found[_network(number, text)] = None
    return list(found)


def _network(number: int, text: str) -> str:
    try:
        raw, bits = parse_prefix(text)
    except BadRequest as error:
        where = f"'{text[:60]}'" + (f" in line {number}" if number else "")
        raise BadRequest("read address", where, error.reason, error.next_step) from None
    if not bits:
        raise BadRequest("read address", f"'{text}'", "that is every address", "name those that are meant")
    return format_address(raw) + ("" if bits == 8 * len(raw) else f"/{bits}")
