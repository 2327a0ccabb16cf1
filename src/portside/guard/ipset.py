"""The sets of `ipset save`, as tests (ipset(8)).

A member with a time limit leaves by itself; a set with `SET` targets writing to it is open.  The kinds whose members
are addresses, networks, ports, protocols and interfaces are read; others (mac, mark, list:set of unknown ones) are
open questions.  An exception (`nomatch`) is one, too, where it is used.
"""

from __future__ import annotations

from portside.errors import BadReply
from portside.guard.fields import FIELDS
from portside.guard.iptmatches import network, protocol_number
from portside.guard.model import Key, Match, Unknown
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.guard.model import Box, Span

_KNOWN = {"ip", "net", "port", "iface"}


class IpSet(Record):
    """One set: its parts (`hash:net,port` -> net, port), family, members (entry, whether it times out)."""

    name: str
    parts: tuple[str, ...]
    family: str = "ip"
    members: tuple[tuple[str, bool], ...] = ()
    exceptions: bool = False

    def test(self, directions: list[str], family: str, negated: bool) -> Match | Unknown:
        """Return the test `--match-set NAME src,dst` of a rule of that family."""
        if self.exceptions or not set(self.parts) <= _KNOWN or len(directions) < len(self.parts):
            return Unknown(f"set {self.name} {','.join(directions)}", "unreadable")
        keys: list[Key] = []
        for part, direction in zip(self.parts, directions, strict=False):
            side = "s" if direction == "src" else "d"
            if part == "port":
                keys += [Key("l4proto"), Key(f"th {side}port")]
            elif part == "iface":
                keys.append(Key("iifname" if side == "s" else "oifname"))
            elif self.family != family:
                return Match((), (), negated)
            else:
                keys.append(Key(f"{family} {side}addr"))
        steady = tuple(self._box(entry) for entry, timed in self.members if not timed)
        timed = tuple(self._box(entry) for entry, timed in self.members if timed)
        return Match(tuple(keys), steady, negated, self.name, timed)

    def _box(self, entry: str) -> Box:
        box: list[Span] = []
        for part, value in zip(self.parts, entry.split(","), strict=True):
            if part == "port":
                box += _port(value)
            elif part == "iface":
                box.append(value.removeprefix("physdev:"))
            elif "-" in value:
                low, _, high = value.partition("-")
                box.append((network(low, 32)[0][0], network(high, 32)[0][0]))
            else:
                box.append(network(value, FIELDS[f"{self.family} saddr"].width)[0])
        return tuple(box)


def _port(value: str) -> list[Span]:
    protocol, colon, port = value.partition(":")
    low, _, high = (port if colon else value).partition("-")
    number = protocol_number(protocol) if colon else 0
    span = (number, number) if colon else (0, 255)
    return [span, (int(low), int(high or low))]


def from_save(text: str) -> dict[str, IpSet]:
    """Return the sets of `ipset save` by name; raises BadReply where a line is cut."""
    try:
        return _sets(text)
    except (IndexError, KeyError) as error:
        raise BadReply("read", "ipset save", f"a line is cut, or a set is missing ({error})") from error


def _times_out(words: list[str]) -> bool:
    """Whether a member leaves by itself; `timeout 0` stays."""
    return "timeout" in words and words[words.index("timeout") + 1 :][:1] != ["0"]


def _sets(text: str) -> dict[str, IpSet]:
    made: dict[str, IpSet] = {}
    members: dict[str, list[tuple[str, bool]]] = {}
    exceptions = set()
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "create":
            kind = words[2].partition(":")[2].split(",")
            family = "ip6" if "inet6" in words else "ip"
            made[words[1]] = IpSet(words[1], tuple(kind), family)
            members[words[1]] = []
        elif words[0] == "add":
            members[words[1]].append((words[2], _times_out(words)))
            if "nomatch" in words:
                exceptions.add(words[1])
    return {
        name: one.replace(members=tuple(members[name]), exceptions=name in exceptions)
        for name, one in made.items()
    }
