"""Memo: a dictionary that makes what is not in it yet, once for each key: of 100,000 sockets few texts differ."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Memo(dict):  # type: ignore[type-arg]
    """`Memo(make)[key]` is `make(key)`, which is called the first time alone."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __missing__(self, key: object) -> Any:
        made = self[key] = self._make(key)
        return made
