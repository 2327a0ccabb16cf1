"""sockstat's JSON, as libxo writes it: what a socket does not have is left out, not null.

Fields and their types are those of FreeBSD's `sockstat --libxo json`, version 1; names are whole, nothing is cut.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.faces.sockstat.options import Options
    from portside.faces.sockstat.rows import End, Line

_FIELDS = {"i": ("id", "id"), "U": ("encaps", "encaps"), "s": ("conn-state", "state")}
_FIELDS |= {"S": ("stack", "stack"), "C": ("cc", "cc")}


def document(lines: list[Line], options: Options) -> str:
    """Return the whole document; with `pretty` over several lines."""
    sockets = [_socket(line, options) for line in lines]
    if options.pretty:
        import json  # asked for

        return json.dumps({"__version": "1", "sockstat": {"socket": sockets}}, indent=2)
    return '{"__version": "1", "sockstat": ' + _object({"socket": sockets}) + "}"


def _object(told: dict[str, Any]) -> str:
    """Write an object with libxo's blanks: before and behind what is nested, nowhere else."""
    from json import dumps

    text = ""
    for name, value in told.items():
        if isinstance(value, dict):
            text += f'{", " if text else ""}"{name}": {_object(value)}'
        elif isinstance(value, list):
            text += f'{", " if text else ""}"{name}": [{", ".join(map(_object, value))}]'
        else:
            text += f'{"," if text else ""}"{name}":{dumps(value)}'
    return "{" + text + "}"


def _socket(line: Line, options: Options) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if line.owner is not None:
        process = line.owner.process
        told["user"] = process.uid if options.numeric or not process.user else process.user
        told |= {"command": process.name, "pid": line.owner.pid, "fd": line.owner.fd}
    told["proto"] = line.proto
    for name, end in (("local", line.local), ("foreign", line.foreign)):
        value = _end(end)
        if value:
            told[name] = value
    for letter in options.columns:
        field, attribute = _FIELDS[letter]
        value = getattr(line, attribute)
        if value is not None:
            told[field] = value
    return told


def _end(end: End) -> dict[str, Any]:
    if end.path:
        return {"path": end.path}
    if end.peers:
        return {"connections": [{"pid": pid, "fd": fd} for pid, fd in end.peers]}
    return {"address": end.address, "port": end.port} if end.known and not end.arrow else {}
