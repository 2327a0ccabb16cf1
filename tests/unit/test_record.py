"""Records: frozen, slotted, equal by value, whether made before or after their initialiser is compiled."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil

import pytest

import portside
from portside import errors
from portside.errors import BadReply, NotPermitted, PortsideError
from portside.record import _FEW, Record, RecordType, _compiled_init


class Point(Record):
    """Declared at module level, where pickle finds it."""

    x: int
    y: int = 5
    name: str = ""

    @property
    def far(self) -> bool:
        return self.x > 100


class Deep(Point):
    z: int = 0


class Nothing(Record):
    pass


@pytest.fixture(params=[0, _FEW], ids=["slow", "compiled"])
def cls(request):
    """A record class like Point: with its first initialiser, or with the compiled one in place."""
    body = {"__annotations__": {"x": "int", "y": "int", "name": "str"}, "y": 5, "name": ""}
    made = RecordType("Point", (Record,), body)
    for number in range(request.param):
        made(number)
    assert (made.__init__.__name__ == "__init__") == bool(request.param)
    return made


def test_fields_and_defaults(cls):
    assert [(p.x, p.y, p.name) for p in (cls(1), cls(1, 2), cls(x=1, name="n"), cls(1, y=3))] == [
        (1, 5, ""), (1, 2, ""), (1, 5, "n"), (1, 3, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((1, 2, "", 4), {}), ((1,), {"x": 1}), ((1,), {"w": 1}), ((), {"y": 1}), ((1,), {"self": 1})],
)
def test_wrong_arguments(cls, values, named):
    with pytest.raises(TypeError):
        cls(*values, **named)


def test_frozen_and_slotted(cls):
    point = cls(1)
    for name in ("x", "w", "__class__", "__dict__"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(point, name, 2)
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del point.x
    assert point.x == 1
    assert not hasattr(point, "__dict__")
    with pytest.raises(AttributeError):
        point.w  # noqa: B018


def test_equal_by_value_and_by_class():
    assert Point(1) == Point(1, 5) != Point(2)
    assert Point(1) != (1, 5, "")
    assert Point(1) != Deep(1)
    assert len({Point(1), Point(1), Deep(1), Nothing(), Nothing()}) == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point([]))


def test_repr_items_and_match():
    assert repr(Point(1, name="a'b")) == 'Point(x=1, y=5, name="a\'b")'
    assert dict(Deep(1).items()) == {"x": 1, "y": 5, "name": "", "z": 0}
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)


def test_replace():
    point = Point(1)
    assert point.replace(y=9) == Point(1, 9)
    assert point == Point(1)
    assert isinstance(Deep(1).replace(z=2), Deep)
    with pytest.raises(TypeError):
        point.replace(w=1)


def test_inherited_fields_come_first():
    assert Deep.__match_args__ == ("x", "y", "name", "z")
    assert (Deep(1, 2, "n", 3).name, Deep(1, 2, "n", 3).z, Deep(101).far) == ("n", 3, True)


def test_more_instances_than_few_of_each_class():
    class Many(Record):
        number: int
        twice: int = 0

    class Child(Many):
        more: int = 1

    made = [Many(n) for n in range(3 * _FEW)]
    assert [m.number for m in made] == list(range(3 * _FEW))
    children = [Child(n, more=n) for n in range(3 * _FEW)]
    assert [(c.number, c.twice, c.more) for c in children] == [(n, 0, n) for n in range(3 * _FEW)]
    assert len({Nothing() for _ in range(3 * _FEW)}) == 1


@pytest.mark.parametrize("value", [Point(1, 2, "x"), Deep(1), Nothing()])
def test_pickle_and_copy(value):
    for twin in (*(pickle.loads(pickle.dumps(value, protocol)) for protocol in (2, 5)), copy.copy(value)):
        assert twin == value
        assert type(twin) is type(value)
    holder = Point([1])
    assert copy.deepcopy(holder).x is not holder.x
    assert copy.copy(holder).x is holder.x


def records():
    """Every record that Portside declares."""
    for module in pkgutil.walk_packages(portside.__path__, "portside."):
        if not module.name.endswith(("__main__", "holder")):
            importlib.import_module(module.name)
    pending, found = [Record], {}
    while pending:
        subclasses = pending.pop().__subclasses__()
        pending += subclasses
        found |= {cls.__qualname__: cls for cls in subclasses if cls.__module__.startswith("portside.")}
    return found


def test_every_record_can_be_compiled_and_has_immutable_defaults():
    """The compiled initialiser comes after some instances: what is wrong with it must not wait for a busy host."""
    found = records()
    assert {"Socket", "OpenPort", "Host", "Message"} <= set(found)
    for name, cls in found.items():
        names = list(inspect.signature(_compiled_init(cls)).parameters)
        assert names == ["self", *cls.__match_args__], name
        assert not any(isinstance(value, list | dict | set) for value in cls._defaults.values()), name


# Errors


def test_an_error_says_operation_object_reason_and_next_step():
    assert str(PortsideError("read")) == "read"
    assert str(BadReply("read", "tcp sockets", "cut short")) == "read tcp sockets: cut short"
    full = NotPermitted("enter", "netns 'a'", "no right", "run it with sudo", errno=1, extack="why not")
    assert str(full) == "enter netns 'a': no right (the kernel adds: why not); run it with sudo"
    assert (full.operation, full.subject, full.reason, full.next_step) == (
        "enter", "netns 'a'", "no right", "run it with sudo",
    )  # fmt: skip


def test_an_error_survives_pickle():
    error = NotPermitted("enter", "x", "no right", "sudo", errno=1, extack="why")
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), str(twin), twin.errno, twin.extack) == (NotPermitted, str(error), 1, "why")


def test_the_root_has_six_children():
    children = [
        value for value in vars(errors).values() if inspect.isclass(value) and value is not PortsideError
    ]
    assert sorted(child.__name__ for child in children) == [
        "BadReply", "BadRequest", "NotPermitted", "NotSupported", "TimedOut", "Vanished",
    ]  # fmt: skip
    assert all(child.__bases__ == (PortsideError,) for child in children)
