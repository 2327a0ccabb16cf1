"""The text of `nft list ruleset`: anonymous chains get names.

nft's JSON prints an anonymous chain (`jump { ... }`) as one text (no printer for it up to 1.1.4).  Loaded under names
of their own, in a scratch namespace, the same chains have JSON.
"""

from __future__ import annotations

import re

_OPEN = re.compile(r"\b(jump|goto) \{\n")
_TABLE = re.compile(r"^table [^{\n]+\{\n", re.M)
_PREFIX = "portside-anonymous-"


def has_anonymous_chains(text: str) -> bool:
    """Whether a listing, of either form, has anonymous chains."""
    return bool(re.search(r"\b(?:jump|goto) \{", text))


def name_anonymous_chains(text: str) -> str:
    """Return the listing with a named chain for each anonymous one, the innermost first."""
    for number in range(text.count("{\n")):
        found = list(_OPEN.finditer(text))
        if not found:
            return text
        last = found[-1]  # nothing is nested in the last one that opens
        end = _closing(text, last.end())
        if end < 0:
            return text
        body, name = text[last.end() : end], f"{_PREFIX}{number}"
        text = f"{text[: last.start()]}{last[1]} {name}{text[end + 1 :]}"
        table = [one for one in _TABLE.finditer(text) if one.end() <= last.start()][-1]
        chain = f"\tchain {name} {{\n{body}\n\t}}\n"
        text = text[: table.end()] + chain + text[table.end() :]
    return text


def _closing(text: str, start: int) -> int:
    """Return where the brace closes that was opened before `start`; braces in quotes do not count."""
    depth, quoted = 1, False
    for at in range(start, len(text)):
        letter = text[at]
        if letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += (letter == "{") - (letter == "}")
            if not depth:
                return at
    return -1
