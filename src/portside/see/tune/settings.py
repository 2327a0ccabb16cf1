"""The settings, their meaning, and their values between the kernel's text, what people type, and what is shown.

Three spellings of a value: the kernel's (`32768\t60999`), the canonical (`32768-60999`, digits, a list of ports), and
the shown one (`2 h`).  `typed` reads what people type, or says what is wrong with it; nothing here is read or set.

Reference: Documentation/networking/ip-sysctl.rst, tcp(7), listen(2).
"""

from __future__ import annotations

from portside.errors import BadReply, BadRequest
from portside.ports.number import LAST_PORT, Range, merge_ranges, parse_range
from portside.record import Record

RANGE, PORTS, PORT, SECONDS, COUNT = "range", "ports", "port", "seconds", "count"
_LARGEST = (1 << 31) - 1


class Setting(Record):
    """One setting: its name here, the sysctl, the kind of value, the kernel's default (canonical), what it means.

    `lowest` and `highest` bound numbers (seconds, counts, ports).
    """

    name: str
    sysctl: str
    kind: str
    default: str
    about: str
    lowest: int = 1
    highest: int = _LARGEST


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "ephemeral", "net.ipv4.ip_local_port_range", RANGE, "32768-60999",
            "the ports that connections and bind to port 0 are given, IPv6 too; each may be used once for each "
            "destination (address and port)",
        ),
        Setting(
            "reserved", "net.ipv4.ip_local_reserved_ports", PORTS, "",
            "ports of the ephemeral range that are given to nobody who does not ask for them by number",
        ),
        Setting(
            "unprivileged", "net.ipv4.ip_unprivileged_port_start", PORT, "1024",
            "the first port that any user may bind; below it takes CAP_NET_BIND_SERVICE", 0, LAST_PORT,
        ),
        Setting(
            "keepalive", "net.ipv4.tcp_keepalive_time", SECONDS, "7200",
            "how long a connection is silent before the first probe, for programs that set SO_KEEPALIVE "
            "and no time of their own",
        ),
        Setting(
            "keepalive-interval", "net.ipv4.tcp_keepalive_intvl", SECONDS, "75",
            "how long after an unanswered keepalive probe the next one is sent",
        ),
        Setting(
            "keepalive-probes", "net.ipv4.tcp_keepalive_probes", COUNT, "9",
            "how many unanswered keepalive probes end a connection", 1, 255,
        ),
        Setting(
            "fin-timeout", "net.ipv4.tcp_fin_timeout", SECONDS, "60",
            "how long a closed connection waits for the peer's end (FIN-WAIT-2); not how long TIME_WAIT lasts, "
            "which is 60 s always",
        ),
        Setting(
            "somaxconn", "net.core.somaxconn", COUNT, "4096",
            "the most that listen(2) gives a listener as backlog: connections that wait to be accepted; "
            "one that listens already keeps what it has", 0,
        ),
        Setting(
            "syn-backlog", "net.ipv4.tcp_max_syn_backlog", COUNT, "",
            "how many unfinished handshakes a listener may have where SYN cookies are off, within its backlog",
        ),
    )
}  # fmt: skip


def find(name: str) -> Setting:
    """Return a setting by its name or its sysctl; raises BadRequest, with what may have been meant."""
    if name in SETTINGS:
        return SETTINGS[name]
    dotted = name.replace("/", ".")
    for setting in SETTINGS.values():
        if dotted in (setting.sysctl, setting.sysctl.rpartition(".")[2]):
            return setting
    from difflib import get_close_matches

    close = get_close_matches(name, SETTINGS, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(SETTINGS)}"
    raise BadRequest("tune", f"'{name}'", "there is no such setting", hint)


def canonical(setting: Setting, text: str) -> str:
    """Return the canonical value of the kernel's text; raises BadReply for one that is not of its form."""
    words = text.split()
    if setting.kind == PORTS:
        return ",".join(words)
    if len(words) != (2 if setting.kind == RANGE else 1) or not all(map(_is_number, words)):
        raise BadReply("read sysctl", setting.sysctl, f"unexpected text {text[:60]!r}")
    return "-".join(words)


def kernel_text(setting: Setting, value: str) -> str:
    """Return what is written to the kernel, and into its files, for a canonical value."""
    return value.replace("-", " ") if setting.kind == RANGE else value


def typed(setting: Setting, words: str, now: str = "") -> str:
    """Return the canonical value of what somebody typed; raises BadRequest with the reason.

    `now` is the value in force: `+8080` and `-8080` change a list of ports.  `default` is the kernel's own.
    """
    text = words.strip().lower()
    if text == "default":
        if setting.default or setting.kind == PORTS:
            return setting.default
        raise _wrong(setting, words, "the kernel computes its default from the memory", "give a number")
    if setting.kind == RANGE:
        return _typed_range(setting, text)
    if setting.kind == PORTS:
        return _typed_ports(setting, text, now)
    return str(_typed_number(setting, text))


def shown(setting: Setting, value: str) -> str:
    """Return a canonical value as people read it."""
    if setting.kind == PORTS:
        return value or "none"
    if setting.kind == SECONDS:
        return duration(int(value))
    return value


def duration(seconds: int) -> str:
    """Return seconds as `2 h`, `11 min 15 s`, `60 s`: two units at most."""
    if seconds <= 120:
        return f"{seconds} s"
    parts = (
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    told = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(told[:2])


def as_range(value: str) -> Range:
    """Return the range of a canonical value of RANGE."""
    first, _, last = value.partition("-")
    return Range(int(first), int(last))


def as_ranges(value: str) -> tuple[Range, ...]:
    """Return the ranges of a canonical value of PORTS."""
    parts = (item.partition("-") for item in value.split(",") if item)
    return merge_ranges(Range(int(first), int(last or first)) for first, _, last in parts)


def _typed_range(setting: Setting, text: str) -> str:
    parts = text.replace("-", " ").replace(":", " ").replace(",", " ").split()
    if len(parts) != 2 or not all(map(_is_number, parts)):
        raise _wrong(setting, text, "a range is written A-B", "for instance 32768-60999")
    first, last = int(parts[0]), int(parts[1])
    if not 1 <= first <= last <= LAST_PORT:
        reason = "the range is reversed" if first > last else f"ports go from 1 to {LAST_PORT}"
        raise _wrong(setting, text, reason)
    return f"{first}-{last}"


def _typed_ports(setting: Setting, text: str, now: str) -> str:
    if text in ("none", ""):
        return ""
    sign = text[0] if text[0] in "+-" else ""
    named: list[Range] = []
    for item in text.removeprefix(sign).replace(",", " ").split():
        found = parse_range(item) if item[-1] != "-" and item[0] != "-" else None
        if found is None or found.first == 0:
            raise _wrong(setting, item, "a port or a range of them is meant", "for instance 8080,9000-9010")
        named.append(found)
    if sign:
        kept = as_ranges(now)
        named = [*kept, *named] if sign == "+" else [part for one in kept for part in _without(one, named)]
    return ",".join(str(one) for one in merge_ranges(named))


def _without(whole: Range, gone: list[Range]) -> list[Range]:
    """Return what is left of a range when others are taken out of it."""
    left = [whole]
    for one in gone:
        pieces = []
        for part in left:
            if part.first < one.first:
                pieces.append(Range(part.first, min(part.last, one.first - 1)))
            if part.last > one.last:
                pieces.append(Range(max(part.first, one.last + 1), part.last))
        left = pieces
    return left


_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def _typed_number(setting: Setting, text: str) -> int:
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    if setting.kind != SECONDS and unit:
        raise _wrong(setting, text, "a number is meant")
    if not _is_number(digits) or (unit and unit not in _UNITS):
        reason = (
            "a number of seconds is meant, or 30min, 2h" if setting.kind == SECONDS else "a number is meant"
        )
        raise _wrong(setting, text, reason)
    value = int(digits) * _UNITS.get(unit, 1)
    if not setting.lowest <= value <= setting.highest:
        raise _wrong(setting, text, f"it must be from {setting.lowest} to {setting.highest}")
    return value


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 12


def _wrong(setting: Setting, text: str, reason: str, next_step: str = "") -> BadRequest:
    return BadRequest("tune", f"{setting.name} to '{text[:60]}'", reason, next_step)
