"""The targets of iptables rules as statements (iptables-extensions(8), TARGET EXTENSIONS)."""

from __future__ import annotations

from portside.guard.model import Assign, Nat, Note, Notrack, Unknown, Update, Verdict
from portside.guard.nftvalues import address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portside.guard.iptmatches import Option

_NOTES = {
    "LOG", "NFLOG", "ULOG", "TRACE", "TCPMSS", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "CHECKSUM", "SECMARK",
    "CONNSECMARK", "RATEEST", "IDLETIMER", "LED", "AUDIT", "TEE", "ECN", "TCPOPTSTRIP", "HMARK",
}  # fmt: skip
_WHOLE = 0xFFFFFFFF
_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "RETURN": "return"}
_UNKNOWN = {"TPROXY": "program", "NETMAP": "state", "CLUSTERIP": "random", "DNPT": "state", "SNPT": "state"}


def target(options: list[Option], family: str) -> list[Any]:
    """Return the statements of a rule's target, none where it only counts."""
    for option in options:
        if option.name in ("-j", "-g"):
            mine = {one.name: one.values for one in options if one.module == "-j"}
            return _target(option.name, option.values[0], mine, family)
    return []


def _target(flag: str, name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    if flag == "-g":
        return [Verdict("goto", name)]
    if name in _VERDICTS:
        return [Verdict(_VERDICTS[name])]
    if name in _NOTES:
        return [Note(name)]
    if name in _UNKNOWN:
        return [Unknown(name, _UNKNOWN[name], effect=True)]
    maker = _TARGETS.get(name)
    if maker is None:
        return [Verdict("jump", name)]
    made: list[Any] = maker(name, options, family)
    return made


def _reject(name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    words = options.get("--reject-with", ("icmp-port-unreachable",))[0]
    how = (
        "tcp reset"
        if words in ("tcp-reset", "tcp-rst")
        else words.removeprefix("icmp6-").removeprefix("icmp-")
    )
    return [Verdict("reject", detail=how)]


def _queue(name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    return [Verdict("queue", detail="bypass" if "--queue-bypass" in options else "")]


def _steal(name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    return [Verdict("steal", detail=name.lower())]


def _no_track(name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    return [Notrack()] if name == "NOTRACK" or "--notrack" in options else [Note(name)]


def _set_target(name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    return [Update(values[0]) for option, values in options.items() if option in ("--add-set", "--del-set")]


def _mark_target(name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    """(mark & ~mask) ^ value: every form is saved as --set-xmark (xt_mark.c)."""
    field = "mark" if name == "MARK" else "ct mark"
    if "--set-xmark" in options or "--set-mark" in options:
        words = (options.get("--set-xmark") or options["--set-mark"])[0]
        value, _, mask = words.partition("/")
        keep = ~int(mask or "0xffffffff", 0) & _WHOLE
        return [Assign(field, int(value, 0), keep, field if keep else "")]
    masks = [int(options.get(word, ("0xffffffff",))[0], 0) for word in ("--nfmask", "--ctmask")]
    if "--mask" in options:
        masks = [int(options["--mask"][0], 0)] * 2
    to, source, kept = (
        ("ct mark", "mark", masks[1]) if "--save-mark" in options else ("mark", "ct mark", masks[0])
    )
    if kept != _WHOLE:
        return [Assign(to, unknown=f"{name} copies some bits")]
    return [Assign(to, 0, masks[0] if to == "ct mark" else masks[1], source)]


def _nat(name: str, options: dict[str, tuple[str, ...]], family: str) -> list[Any]:
    kind = name.lower()
    if name in ("REDIRECT", "MASQUERADE"):
        words = options.get("--to-ports")
        return [Nat(kind, family, None, _dashed(words[0]) if words else None)]
    words = options.get("--to-destination") or options.get("--to-source")
    if words is None:
        return [Unknown(name, "unreadable", effect=True)]
    where, port = _split(words[0])
    low, _, high = where.partition("-")
    addresses = (address(low), address(high or low)) if where else None
    return [Nat(kind, family, addresses, _dashed(port) if port else None)]


def _split(text: str) -> tuple[str, str]:
    """Split `1.2.3.4-1.2.3.9:80-90`, `[fe80::1]:80`, `fe80::1` into addresses and ports."""
    if text.startswith("["):
        where, _, port = text[1:].partition("]")
        return where, port.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    where, _, port = text.partition(":")
    return where, port


def _dashed(text: str) -> tuple[int, int]:
    low, _, high = text.partition("/")[0].partition("-")
    return int(low), int(high or low)


_TARGETS: dict[str, Any] = {
    "REJECT": _reject,
    "NFQUEUE": _queue,
    "QUEUE": _queue,
    "SYNPROXY": _steal,
    "CT": _no_track,
    "NOTRACK": _no_track,
    "SET": _set_target,
    "MARK": _mark_target,
    "CONNMARK": _mark_target,
    "DNAT": _nat,
    "SNAT": _nat,
    "REDIRECT": _nat,
    "MASQUERADE": _nat,
}
