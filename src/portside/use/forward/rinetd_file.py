"""rinetd's own configuration file (rinetd(8)), so that an existing one works as it is.

    allow 10.0.*                       # before the first rule: for all
    0.0.0.0 80 10.1.1.2 8080           # bind address and port, connect address and port
    deny 10.0.0.9                      # after a rule: for that rule
    :: 53/udp 10.1.1.3 53/udp [timeout=1200,src=10.0.0.1]
    logfile /var/log/rinetd.log

Also `logcommon` and `pidlogfile FILE`.  0.0.0.0 listens on every IPv4 address, :: on every IPv6 one, as there.
"""

from __future__ import annotations

import re

from portside.errors import BadRequest
from portside.use.access import Access, Pattern, parse_network
from portside.use.forward.rules import Configuration, Rule, checked
from portside.use.places import TCP, UDP, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.access import Network

_UDP_SILENCE = 72.0  # RINETD_DEFAULT_UDP_TIMEOUT
_RULE = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+([^\s\[]+)\s*(?:\[(.*)\])?")
_PORT = re.compile(r"([\w.+-]+?)(?:/(tcp|udp))?")
_PATTERN = re.compile(r"[0-9*?]+(?:\.[0-9*?]+){0,3}")
_FILE = re.compile(r'(logfile|pidlogfile)\s+(?:"([^"]+)"|(\S+))')


class _Reader:
    """The lines read so far."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.allow: list[list[Network | Pattern]] = [[]]  # the global ones, then those of each rule
        self.deny: list[list[Network | Pattern]] = [[]]
        self.files: dict[str, str] = {}
        self.common = False

    def take(self, line: str) -> None:
        """Read one line without its comment; raises BadRequest."""
        word, _, rest = line.partition(" ")
        named = _FILE.fullmatch(line)
        if named:
            self.files[named[1]] = named[2] or named[3]
        elif word in ("allow", "deny"):
            (self.allow if word == "allow" else self.deny)[-1].append(_source(rest.strip()))
        elif line == "logcommon":
            self.common = True
        else:
            self.rules.append(_rule(line))
            self.allow.append([])
            self.deny.append([])

    def configuration(self) -> Configuration:
        """Return what the lines say together."""
        lists = [Access(tuple(allow), tuple(deny)) for allow, deny in zip(self.allow, self.deny, strict=True)]
        shared, own = lists[0], lists[1:]
        rules = [
            rule.replace(access=tuple(each for each in (shared, mine) if each != Access()))
            for rule, mine in zip(self.rules, own, strict=True)
        ]
        files = self.files
        return Configuration(
            checked(rules), files.get("logfile", ""), self.common, files.get("pidlogfile", "")
        )


def parse_rinetd(text: str, name: str) -> Configuration:
    """Return the configuration that a file's text holds; `name` is the file's, for errors.  Raises BadRequest."""
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        words = " ".join(line.partition("#")[0].split())
        if not words:
            continue
        try:
            reader.take(words)
        except BadRequest as error:
            raise BadRequest("read configuration", f"'{name}' line {number}", str(error)) from error
    if not reader.rules:
        raise BadRequest("read configuration", f"'{name}'", "it has no rule")
    return reader.configuration()


def _source(text: str) -> Network | Pattern:
    return Pattern(text) if _PATTERN.fullmatch(text) else parse_network(text)


def _rule(line: str) -> Rule:
    found = _RULE.fullmatch(line)
    if found is None:
        raise BadRequest("read rule", f"'{line}'", "it is not bind address, port, connect address, port")
    options = _options(found[5] or "")
    listen, target = _place(found[1], found[2]), _place(found[3], found[4])
    idle = (
        float(options["timeout"])
        if "timeout" in options
        else _UDP_SILENCE
        if listen.transport == UDP
        else None
    )
    return Rule(listen, (target,), idle=idle, source=options.get("src", "")).checked()


def _place(host: str, port: str) -> Place:
    found = _PORT.fullmatch(port)
    if found is None or (found[1].isdecimal() and not 0 < int(found[1]) <= 65535):
        raise BadRequest("read rule", f"'{port}'", "it is no port")
    number = int(found[1]) if found[1].isdecimal() else found[1]
    return Place(found[2] or TCP, "0.0.0.0" if host == "0" else host.strip("[]"), number)


def _options(text: str) -> dict[str, str]:
    """Return timeout and src of `[timeout=1200, src=10.0.0.1]`."""
    found = {}
    for option in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = (part.strip() for part in option.partition("="))
        if key not in ("timeout", "src") or (key == "timeout" and not value.isdecimal()) or not value:
            raise BadRequest(
                "read rule", f"'[{text}]'", f"'{option}' is no option", "timeout=SECONDS or src=ADDRESS"
            )
        if key == "src" or int(value):
            found[key] = value
    return found
