"""The named sets and maps of an nft listing, as the rules that use them see them.

An element with a time limit leaves by itself; a set that rules write to, or one marked `dynamic`, may hold anything:
both are told to the test, which is then an open question for those values.  The flag `dynamic` is missing from the
JSON before nft 1.0.9, so writers are looked for in the rules.
"""

from __future__ import annotations

from portside.guard.nftvalues import element

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from portside.guard.model import Box, Key


class NamedSet:
    """One set or map: its elements as nft prints them, and why it may hold others (`open`)."""

    def __init__(self, body: dict[str, Any]) -> None:
        flags = body.get("flags", ())
        self.name: str = body["name"]
        self.elements: list[Any] = body.get("elem", [])
        self.flags = (flags,) if isinstance(flags, str) else tuple(flags)
        self.open = f"@{self.name} is filled by packets" if "dynamic" in self.flags else ""
        self._boxes: dict[tuple[Key, ...], tuple[tuple[Box, ...], tuple[Box, ...]]] = {}

    def boxes(self, keys: tuple[Key, ...]) -> tuple[tuple[Box, ...], tuple[Box, ...]]:
        """Return the boxes that stay, and those that leave by themselves."""
        if keys not in self._boxes:
            steady: list[Box] = []
            timed: list[Box] = []
            for member in self.elements:
                timeless = not (isinstance(member, dict) and "expires" in member.get("elem", {}))
                (steady if timeless else timed).append(element(member, keys))
            self._boxes[keys] = tuple(steady), tuple(timed)
        return self._boxes[keys]


class Sets:
    """The sets of every table."""

    def __init__(self) -> None:
        self._sets: dict[tuple[str, str, str], NamedSet] = {}

    def add(self, body: dict[str, Any]) -> None:
        """Take one up."""
        self._sets[body["family"], body["table"], body["name"]] = NamedSet(body)

    def named(self, family: str, table: str, reference: Any) -> NamedSet | None:
        """Return the set behind `@name`, None where the expression is no reference."""
        if not (isinstance(reference, str) and reference.startswith("@")):
            return None
        return self._sets[family, table, reference[1:]]

    def finder(self, family: str, table: str) -> Callable[[Any], NamedSet | None]:
        """Return `named` for one table."""
        return lambda reference: self.named(family, table, reference)

    def find_writers(self, rules: Iterable[list[Any]]) -> None:
        """Mark the sets that rules write to."""
        written = {
            what["set"][1:]
            for exprs in rules
            for expr in exprs
            if isinstance(expr, dict)
            for kind, what in expr.items()
            if kind in ("set", "map")
            and isinstance(what, dict)
            and what.get("op") in ("add", "update", "delete")
        }
        for one in self._sets.values():
            if one.name in written:
                one.open = f"@{one.name} is filled by packets"
