"""A scan that was stopped, as a small file: the plan and what is left of it, as JSON.

Addresses stay ranges, so the file is as small as what was typed.  It is written beside and moved over the old one
(rename(2)), so that a kill at any moment leaves a whole file; what was decided since the last one is probed again.
"""

from __future__ import annotations

import os

from portside.errors import BadRequest
from portside.ports.number import Range
from portside.probe.method import Options
from portside.probe.order import Left, Shard
from portside.probe.plan import Part, Plan
from portside.probe.space import Addresses, Block
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1


class Checkpoint(Record):
    """A plan, and for each of its parts what is left and what was counted: (state, reason, how many)."""

    plan: Plan
    left: tuple[Left, ...]
    counted: tuple[tuple[tuple[str, str, int], ...], ...]


def write(path: str, point: Checkpoint) -> None:
    """Write the file whole or not at all; raises OSError where that fails."""
    import json

    beside = f"{path}.new"
    with open(beside, "w", encoding="utf-8", opener=_private) as file:
        json.dump(to_json(point), file)
    os.replace(beside, path)


def read(path: str) -> Checkpoint:
    """Return what `write` wrote; BadRequest where the file is missing or is none."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            return from_json(json.load(file))
    except OSError as error:
        raise BadRequest("resume from", f"'{path}'", os.strerror(error.errno or 0).lower()) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadRequest("resume from", f"'{path}'", "it is not a checkpoint of a scan") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def to_json(point: Checkpoint) -> dict[str, Any]:
    """Return the file's content."""
    plan = point.plan
    options = {name: value for name, value in plan.options.items() if name != "wanted"}
    return {
        "portside": VERSION,
        "kind": "scan-checkpoint",
        "seed": plan.seed,
        "shard": str(plan.shard),
        "options": options | {"wanted": sorted(plan.options.wanted)},
        "addresses": [[each.width, each.first, each.last, each.zone] for each in plan.addresses.blocks],
        "names": [[raw.hex(), name] for raw, name in plan.names],
        "parts": [
            {
                "protocol": part.protocol,
                "methods": list(part.methods),
                "ports": [[each.first, each.last] for each in part.ports],
                "next": left.next,
                "places": list(left.places),
                "counted": [list(each) for each in counted],
            }
            for part, left, counted in zip(plan.parts, point.left, point.counted, strict=True)
        ],
    }


def from_json(found: dict[str, Any]) -> Checkpoint:
    """Return what the file's content says; BadRequest or ValueError and its kin where it says nothing."""
    from portside.probe.order import parse_shard

    if (found["portside"], found["kind"]) != (VERSION, "scan-checkpoint"):
        raise ValueError("of another kind")
    options = {**found["options"], "wanted": frozenset(map(str, found["options"]["wanted"]))}
    parts = tuple(
        Part(
            str(each["protocol"]),
            tuple(Range(_number(first, 65535), _number(last, 65535)) for first, last in each["ports"]),
            tuple(map(str, each["methods"])),
        )
        for each in found["parts"]
    )
    blocks = [
        Block(_width(width), _number(first, 1 << 8 * width), _number(last, 1 << 8 * width), str(zone))
        for width, first, last, zone in found["addresses"]
    ]
    shard: Shard = parse_shard(found["shard"])
    names = tuple((bytes.fromhex(raw), str(name)) for raw, name in found["names"])
    plan = Plan(Addresses(blocks), parts, Options(**options), _number(found["seed"], 1 << 64), shard, names)
    return Checkpoint(
        plan,
        tuple(_left(each, plan.space(part).size) for each, part in zip(found["parts"], parts, strict=True)),
        tuple(
            tuple(
                (str(state), str(reason), _number(times, 1 << 64)) for state, reason, times in each["counted"]
            )
            for each in found["parts"]
        ),
    )


def _left(found: dict[str, Any], size: int) -> Left:
    return Left(_number(found["next"], size), tuple(_number(place, size) for place in found["places"]))


def _number(value: object, most: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(value)
    return value


def _width(value: object) -> int:
    if value not in (4, 16):
        raise ValueError(value)
    return int(str(value))
