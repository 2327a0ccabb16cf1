"""A forwarder's configuration as TOML: a table `[[forward]]` for each rule, above them what holds for all.

    idle = 600
    deny = ["203.0.113.0/24"]

    [[forward]]
    listen = "*:8080"
    target = ["10.0.0.5:80", "10.0.0.6:80"]
    balance = "first"
    allow = ["10.0.0.0/8"]

Allowances and denials above the tables hold beside those of a table; any other key of a table replaces the one above.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.use.access import Access, parse_network
from portside.use.forward.rules import FIRST, ROUND, V1, V2, Configuration, Rule, checked
from portside.use.places import UDP, parse_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LISTS = ("allow", "deny", "accept_proxy", "target", "listen")
_SECONDS = ("idle", "connect_timeout", "health", "resolve")
_COUNTS = ("per_source", "most")
_CHOICES = {"send_proxy": (V1, V2, ""), "balance": (ROUND, FIRST)}
_TEXTS = ("source",)
KEYS = (*_LISTS, *_SECONDS, *_COUNTS, *_CHOICES, *_TEXTS)


def parse_toml(text: str, name: str) -> Configuration:
    """Return the configuration that a file's text holds; `name` is the file's, for errors.  Raises BadRequest."""
    import tomllib  # not for rules that were typed

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest("read configuration", f"'{name}'", str(error).lower()) from error
    tables = document.pop("forward", None)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadRequest("read configuration", f"'{name}'", "it has no [[forward]] table")
    try:
        shared = _checked(document)
        rules = [rule for table in tables for rule in _rules(shared, _checked(table))]
        return Configuration(checked(rules))
    except BadRequest as error:
        raise BadRequest("read configuration", f"'{name}'", str(error)) from error


def rules_of(listen: str, target: str, **settings: Any) -> list[Rule]:
    """Return the rule of one listener and its targets (`a:80,b:80`) with a table's settings."""
    return _rules({}, _checked({"listen": listen, "target": target.split(","), **settings}))


def _rules(shared: dict[str, Any], own: dict[str, Any]) -> list[Rule]:
    for key in ("listen", "target"):
        if key not in own:
            raise BadRequest(
                "read rule", f"'{own.get('listen', own.get('target', ['']))[0]}'", f"it has no '{key}'"
            )
    access = tuple(filter(None, (_access(shared), _access(own))))
    given = {
        key: value
        for key, value in {**shared, **own}.items()
        if key not in ("allow", "deny", "listen", "target")
    }
    if "accept_proxy" in given:
        given["accept_proxy"] = tuple(map(parse_network, given["accept_proxy"]))
    rules = []
    for text in own["listen"]:
        place = parse_place(text)
        default = UDP if place.transport == UDP else "tcp"
        targets = tuple(parse_place(each, default) for each in own["target"])
        rules.append(Rule(place, targets, access=access, **given))
    return rules


def _access(table: dict[str, Any]) -> Access | None:
    allow, deny = (tuple(map(parse_network, table.get(key, ()))) for key in ("allow", "deny"))
    return Access(allow, deny) if allow or deny else None


def _checked(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with each value of its kind; lists may be written as one text."""
    found = {}
    for key, value in table.items():
        if key not in KEYS:
            raise BadRequest("read key", f"'{key}'", "there is no such key", f"one of {', '.join(KEYS)}")
        if key in _LISTS and isinstance(value, str):
            value = [value]
        if not _fits(key, value):
            raise BadRequest("read key", f"'{key}'", f"its value {value!r} is none", _expected(key))
        found[key] = float(value) if key in _SECONDS else value
    return found


def _fits(key: str, value: Any) -> bool:
    if key in _LISTS:
        return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
    if key in _SECONDS:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1e9
    if key in _COUNTS:
        return isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value in _CHOICES[key] if key in _CHOICES else isinstance(value, str)


def _expected(key: str) -> str:
    if key in _LISTS:
        return "a text or a list of texts"
    if key in _CHOICES:
        return " or ".join(f"'{choice}'" for choice in _CHOICES[key] if choice)
    return (
        "a number of seconds" if key in _SECONDS else "a whole number above 0" if key in _COUNTS else "a text"
    )
