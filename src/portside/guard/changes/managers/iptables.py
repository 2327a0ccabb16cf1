"""Openings as iptables rules, put in front of the rule that denies; kept where the distribution keeps its rules.

The saved files are read by iptables-restore at boot: one line more stands in them, nothing else of them changes,
so that what other tools have in the running rules alone (containers, bans) is not saved with it.
Reference: iptables(8), iptables-extensions(8) time; netfilter-persistent(8); Fedora's iptables-services.
"""

from __future__ import annotations

import time

from portside.errors import NotSupported
from portside.guard.changes.names import AT_ONCE, PER_SECOND, comment_text, log_prefix
from portside.guard.changes.plan import Drop, Plan, Run, Step, Write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from portside.guard.changes.wish import Network, Wish

TOOLS = {4: "iptables", 6: "ip6tables"}
# family -> files that are loaded at boot: Debian's netfilter-persistent, Red Hat's services, Arch
SAVED = {
    4: ("/etc/iptables/rules.v4", "/etc/sysconfig/iptables", "/etc/iptables/iptables.rules"),
    6: ("/etc/iptables/rules.v6", "/etc/sysconfig/ip6tables", "/etc/iptables/ip6tables.rules"),
}
_LIMIT = ("-m", "limit", "--limit", f"{PER_SECOND}/second", "--limit-burst", str(AT_ONCE))
_WAIT = ("-w", "5")  # seconds for the lock of another iptables


def opening(
    wish: Wish, number: int, chain: str, place: int, *, families: Sequence[int] = (4, 6), chain6: str = ""
) -> Plan:
    """Return the plan: rules inserted before number `place` of the chain, or at its end (0).

    Each family has its own chains, in which the rule that denies may stand at another place.
    """
    steps: list[Step] = []
    back: list[Step] = []
    placed = dict.fromkeys(families, place)
    for version, spec in _specs(wish, number):
        if version not in families:
            continue
        tool, target = TOOLS[version], chain6 or chain if version == 6 else chain
        put = ("-I", target, str(placed[version])) if place else ("-A", target)
        placed[version] += 1  # in this order: what logs stands before what accepts
        steps.append(Run((tool, *_WAIT, *put, *spec)))
        back.append(Run((tool, *_WAIT, "-D", target, *spec)))
    return Plan("iptables", tuple(steps), tuple(reversed(back)))


def lasting(
    wish: Wish,
    number: int,
    chain: str,
    place: int,
    read: Callable[[str], str | None],
    families: Sequence[int] = (4, 6),
) -> Plan:
    """Return the plan that has the same rules loaded at boot; raises NotSupported where nothing loads any."""
    steps: list[Step] = []
    back: list[Step] = []
    for version in families:
        lines = [
            " ".join(("-A", chain, *map(_quoted, spec))) for of, spec in _specs(wish, number) if of == version
        ]
        found = next(((path, text) for path in SAVED[version] if (text := read(path)) is not None), None)
        if not lines:
            continue
        if found is None:
            raise NotSupported(
                "keep", "the rule over a reboot", f"no file of {TOOLS[version]} rules is loaded at boot here",
                "install iptables-persistent (Debian) or iptables-services (Fedora)",
            )  # fmt: skip
        path, text = found
        steps.append(Write(path, with_lines(text, chain, lines, at_end=not place)))
        back.append(Drop(path, tuple(lines)))
    return Plan("iptables", tuple(steps), tuple(back))


def with_lines(text: str, chain: str, lines: list[str], *, at_end: bool) -> str:
    """Return a saved file with rules of the filter table added before the chain's first rule, or after its last."""
    out = text.splitlines()
    start = out.index("*filter") if "*filter" in out else -1
    if start < 0:
        return text + "\n".join(["*filter", *lines, "COMMIT", ""])
    end = next(at for at in range(start, len(out)) if out[at] == "COMMIT")
    rules = [at for at in range(start, end) if out[at].startswith(f"-A {chain} ")]
    place = end if not rules else rules[-1] + 1 if at_end else rules[0]
    return "\n".join([*out[:place], *lines, *out[place:], ""])


def _specs(wish: Wish, number: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    by_version: dict[int, list[Network] | list[None]] = dict(wish.by_version()) or {4: [None], 6: [None]}
    for version, sources in by_version.items():
        for source in sources:
            for protocol, ranges in wish.by_protocol().items():
                for ports in ranges:
                    spec: list[str] = ["-i", wish.interface] if wish.interface else []
                    spec += ["-s", str(source)] if source is not None else []
                    spec += ["-p", protocol, "-m", protocol, "--dport", str(ports).replace("-", ":")]
                    spec += _until(wish.until)
                    spec += ["-m", "comment", "--comment", comment_text(number, wish)]
                    if wish.log:
                        yield version, (*spec, *_LIMIT, "-j", "LOG", "--log-prefix", log_prefix(number))
                    yield version, (*spec, "-j", "ACCEPT")


def _until(until: int) -> list[str]:
    if not until:
        return []
    return ["-m", "time", "--datestop", time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until))]


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word
