"""Lists of addresses: typed, or in a file of one on each line, as block lists are handed around.

Rule: every entry is an address or a network in one canonical form, each once, in the order given; one that is
neither is an error that names its line.  A comment begins with `#` or `;`.  The C library converts single addresses,
because a list may have 100,000.
"""

from __future__ import annotations

import _socket  # see system.netlink
import os
import sys
from itertools import repeat

from portside.errors import BadRequest, NotPermitted, PortsideError
from portside.ports.address import format_address, parse_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


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
    return canonical(lines, numbered=True)


def canonical(entries: Sequence[str], *, numbered: bool = False) -> list[str]:
    """Return entries in canonical form, each once; BadRequest for what is no address (`numbered`: with its line)."""
    plain = [text for text in entries if text and text[0] not in "#;"]
    if _all_ipv4(plain):
        return list(dict.fromkeys(plain))
    found: dict[str, None] = {}
    for number, line in enumerate(entries, 1):
        text = line.partition("#")[0].partition(";")[0].strip()
        if text:
            found[_entry(number if numbered else 0, text)] = None
    return list(found)


def _all_ipv4(texts: list[str]) -> bool:
    """Whether each is an IPv4 address in the one form that inet_pton(3) takes: the form of nearly every long list."""
    try:
        for _ in map(_socket.inet_pton, repeat(_socket.AF_INET), texts):
            pass
    except (OSError, ValueError):
        return False
    return True


def _entry(number: int, text: str) -> str:
    family = _socket.AF_INET6 if ":" in text else _socket.AF_INET
    try:
        return _socket.inet_ntop(family, _socket.inet_pton(family, text))
    except (OSError, ValueError):
        return _network(number, text)


def _network(number: int, text: str) -> str:
    try:
        raw, bits = parse_prefix(text)
    except BadRequest as error:
        where = f"'{text[:60]}'" + (f" in line {number}" if number else "")
        raise BadRequest("read address", where, error.reason, error.next_step) from None
    if not bits:
        raise BadRequest("read address", f"'{text}'", "that is every address", "name those that are meant")
    return format_address(raw) + ("" if bits == 8 * len(raw) else f"/{bits}")
