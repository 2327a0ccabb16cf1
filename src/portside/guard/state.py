"""What is known of a set of packets on its way: the symbolic evaluator's half that is no diagram.

Beside the packet's own fields (`fields.FIELDS`, by their base names) there are, with an underscore, facts of its
connection: `_state` new or established or invalid, `_met` and `_untracked` (connection tracking), `_reply`,
`_status`, `_mark` (ct mark), `_of saddr` and its kin (the original direction), `_bound dst` and `_to daddr` (what
a translation set), `_by dst` (the rule that did), `_looped`.
"""

from __future__ import annotations

from portside.guard.space import Var

TYPE_CHECKING = False
if TYPE_CHECKING:
    Value = int | str | tuple[int, int] | Var
    States = dict["State", int]


class State:
    """What is known of a set of packets: field -> value; equal states are one."""

    __slots__ = ("_hash", "_key", "values")

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values
        self._key = tuple(sorted((name, repr(value)) for name, value in values.items()))
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self._key == other._key

    def put(self, **changes: Value) -> State:
        """Return a state with some values changed; names of fields have blanks as underscores."""
        return State(self.values | changes)

    def set(self, changes: dict[str, Value]) -> State:
        """Return a state with some values changed."""
        return State(self.values | changes)
