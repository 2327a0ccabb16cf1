"""The text of a rule in nft's own language, from its JSON, as `nft list ruleset` would print it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLAIN = {"accept", "drop", "continue", "return", "notrack", "masquerade", "redirect"}
_BARE_META = {"mark", "iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup"}
_NAMES = {"iifname", "oifname", "iif", "oif", "ibrname", "obrname", "iifkind", "oifkind"}


def rule_text(exprs: list[Any]) -> str:
    """Return the text of a rule's expressions."""
    return " ".join(filter(None, map(statement, exprs)))


def statement(expr: Any) -> str:
    """Return one statement."""
    if not isinstance(expr, dict):
        return " ".join(str(expr).split())
    ((kind, what),) = expr.items()
    if kind == "match":
        return _match(what)
    if kind == "counter":
        return "counter"
    if kind in ("jump", "goto"):
        return f"{kind} {what['target']}"
    if kind == "vmap":
        return f"{value(what['key'])} vmap {value(what['data'])}"
    if kind == "mangle":
        return f"{value(what['key'])} set {value(what['value'])}"
    if kind == "reject":
        return _reject(what)
    if kind in ("dnat", "snat", "redirect", "masquerade"):
        return _nat(kind, what)
    if kind in _PLAIN:
        return str(kind)
    if kind == "log":
        return _log(what)
    if kind == "limit" and isinstance(what, dict) and "rate" in what:
        over = "over " if what.get("inv") else ""
        return f"limit rate {over}{what['rate']}/{what.get('per', 'second')}"
    if kind == "meter" and isinstance(what, dict) and isinstance(what.get("stmt"), dict):
        size = f" size {what['size']}" if "size" in what else ""
        return f"meter {what.get('name', '')}{size} {{ {value(what.get('key'))} {statement(what['stmt'])} }}"
    if kind == "xt":
        return f"xt {what.get('type', '')} {what.get('name', '')}"
    if kind in ("set", "map") and isinstance(what, dict) and "op" in what:
        return f"{what['op']} {what.get('set', what.get('map', ''))} {{ {value(what['elem'])} }}"
    if kind == "ct count" and isinstance(what, dict):
        return f"ct count {'over ' if what.get('inv') else ''}{what.get('val')}"
    return kind if what is None else f"{kind} {value(what)}"


def _match(what: dict[str, Any]) -> str:
    op = "" if what["op"] in ("==", "in") else f"{what['op']} "
    left = what["left"]
    right = what["right"]
    if isinstance(right, bool):
        return f"{value(left)} {'exists' if right else 'missing'}"
    if isinstance(left, dict) and isinstance(left.get("meta"), dict) and left["meta"].get("key") in _NAMES:
        return f"{value(left)} {op}{_quoted(right)}"
    return f"{value(left)} {op}{value(right)}"


def _quoted(right: Any) -> str:
    if isinstance(right, str) and not right.startswith("@"):
        return f'"{right}"'
    if isinstance(right, dict) and "set" in right:
        return "{ " + ", ".join(map(_quoted, right["set"])) + " }"
    return value(right)


def _reject(what: Any) -> str:
    if not what or (what.get("type") != "tcp reset" and what.get("expr") == "port-unreachable"):
        return "reject"
    kind = what.get("type", "")
    code = f" {value(what['expr'])}" if "expr" in what else ""
    return f"reject with {kind}{code}"


def _nat(kind: str, what: Any) -> str:
    if not isinstance(what, dict):
        return kind
    to = value(what["addr"]) if "addr" in what else ""
    port = f":{value(what['port'])}" if "port" in what else ""
    if ":" in to and port:
        to = f"[{to}]"
    family = f" {what['family']}" if "family" in what else ""
    return f"{kind}{family} to {to}{port}" if to or port else kind


def _log(what: Any) -> str:
    prefix = what.get("prefix") if isinstance(what, dict) else None
    return f'log prefix "{prefix}"' if prefix else "log"


def value(what: Any) -> str:
    """Return an expression: a field, a number, an address, a set, a concatenation."""
    if isinstance(what, bool):
        return "exists" if what else "missing"
    if isinstance(what, list):
        return ",".join(map(value, what))
    if not isinstance(what, dict):
        return str(what)
    if len(what) != 1:
        return " ".join(f"{name} {value(part)}" for name, part in what.items())
    ((kind, body),) = what.items()
    if kind == "payload":
        return (
            f"@{body['base']},{body['offset']},{body['len']}"
            if "base" in body
            else f"{body['protocol']} {body['field']}"
        )
    if kind == "meta":
        return body["key"] if body["key"] in _BARE_META - {"mark"} else f"meta {body['key']}"
    if kind == "ct":
        return f"ct {body['dir']} {body['key']}" if "dir" in body else f"ct {body['key']}"
    if kind == "fib":
        flags = body.get("flags", [])
        flags = [flags] if isinstance(flags, str) else flags
        return f"fib {' . '.join(flags)} {body.get('result', '')}"
    return _compound(kind, body)


def _compound(kind: str, body: Any) -> str:
    if kind == "range":
        return f"{value(body[0])}-{value(body[1])}"
    if kind == "prefix":
        return f"{body['addr']}/{body['len']}"
    if kind == "set":
        return "{ " + ", ".join(map(_member, body if isinstance(body, list) else [body])) + " }"
    if kind == "concat":
        return " . ".join(map(value, body))
    if kind == "elem":
        return value(body["val"])
    if kind == "map":
        return f"{value(body['key'])} map {value(body['data'])}"
    if kind in ("&", "|", "^", "<<", ">>"):
        return f" {kind} ".join(map(value, body))
    if kind == "numgen":
        return f"numgen {body.get('mode')} mod {body.get('mod')}"
    return f"{kind} {value(body)}" if body is not None else kind


def _member(one: Any) -> str:
    if isinstance(one, list) and len(one) == 2:
        right = statement(one[1]) if isinstance(one[1], dict) and set(one[1]) & _VERDICTS else value(one[1])
        return f"{value(one[0])} : {right}"
    return value(one)


_VERDICTS = {"accept", "drop", "jump", "goto", "return", "continue", "queue"}
