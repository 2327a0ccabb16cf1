"""Frozen, slotted records that cost nothing to declare.

A record is a class with annotated fields.  It behaves as a `dataclass(frozen=True, slots=True)`, and type checkers
see it as one (PEP 681); the standard one is not used because importing it costs 9 ms and declaring each record
another half, more than the whole of `portside list` may take over a bare interpreter.  Here a class costs little,
and its initialiser is compiled only once there are many instances.

Rules: the declaring module says `from __future__ import annotations` (fields are read from the class body as
text), and defaults are immutable.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options):  # noqa: D103
        return lambda decorated: decorated


@dataclass_transform(frozen_default=True)
class RecordType(type):
    """Metaclass of records: turns annotations into slots and defaults."""

    def __new__(mcls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> RecordType:
        """Make the class: one slot for each annotated field, inherited fields first."""
        own = [field for field in body.get("__annotations__", ()) if not field.startswith("__")]
        inherited = [
            field for base in bases for field in getattr(base, "__match_args__", ()) if field not in own
        ]
        defaults: dict[str, Any] = {}
        for base in bases:
            defaults |= getattr(base, "_defaults", {})
        defaults |= {field: body.pop(field) for field in own if field in body}
        fields = (*inherited, *own)
        if [field in defaults for field in fields] != sorted(field in defaults for field in fields):
            raise TypeError(f"record {name}: a field without a default follows one that has one")
        body["__slots__"] = tuple(own)
        body["__match_args__"] = fields
        body["_defaults"] = defaults
        body.setdefault("__init__", _first_init)
        return super().__new__(mcls, name, bases, body)


_FEW = 16  # instances made before it pays to compile an initialiser


def _first_init(self: Any, *values: Any, **named: Any) -> None:
    """Initialise one of the first instances of a record; the last of them puts the compiled initialiser in place."""
    cls = type(self)
    cls._made = cls.__dict__.get("_made", 0) + 1
    if cls._made >= _FEW:
        cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *values, **named)
        return
    fields = cls.__match_args__
    if len(values) > len(fields):
        raise TypeError(f"{cls.__name__} takes {len(fields)} fields, {len(values)} were given")
    given = dict(zip(fields, values, strict=False))
    if given.keys() & named.keys() or not named.keys() <= set(fields):
        raise TypeError(f"{cls.__name__} has no fields {', '.join(named)} left to name")
    told = cls._defaults | given | named
    if len(told) < len(fields):
        raise TypeError(f"{cls.__name__} lacks {', '.join(field for field in fields if field not in told)}")
    for field in fields:
        getattr(cls, field).__set__(self, told[field])


def _compiled_init(cls: Any) -> Any:
    """Return an initialiser made for the fields of `cls`."""
    fields = cls.__match_args__
    names: dict[str, Any] = {f"set_{field}": getattr(cls, field).__set__ for field in fields}
    names |= {f"default_{field}": value for field, value in cls._defaults.items()}
    arguments = ", ".join(f"{field}=default_{field}" if field in cls._defaults else field for field in fields)
    sets = "; ".join(f"set_{field}(self, {field})" for field in fields) or "pass"
    exec(f"def __init__(self, {arguments}):\n    {sets}", names)
    names["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return names["__init__"]


class Record(metaclass=RecordType):
    """Base of every record: equality and hash by value, a readable repr, `replace`, no assignment."""

    __slots__ = ()
    if TYPE_CHECKING:
        __match_args__: ClassVar[tuple[str, ...]]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(mine == getattr(other, field) for field, mine in self.items())

    def __hash__(self) -> int:
        return hash((type(self), *(value for _, value in self.items())))

    def __repr__(self) -> str:
        inner = ", ".join(f"{field}={value!r}" for field, value in self.items())
        return f"{type(self).__name__}({inner})"

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), tuple(value for _, value in self.items())

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield each field's name and value, in declared order."""
        for field in self.__match_args__:
            yield field, getattr(self, field)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**(dict(self.items()) | changes))
