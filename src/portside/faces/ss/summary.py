"""ss -s: how many sockets there are, from the counters of /proc/net and not by reading any socket.

`closed` is the count of all network namespaces minus the connections of this one, as in ss: of use in the first one.
Reference: misc/ss.c of iproute2 6.1; proc_pid_net(5), net/ipv4/proc.c.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Text = Callable[[str, str], str | None]


def text(read: Text) -> tuple[str, str]:
    """Return what is printed, and what is to be said of files that are not there; `read` as `Reading.text`."""
    said = ""
    sockstat = read("PROC_NET_SOCKSTAT", "net/sockstat")
    if sockstat is None:
        said += "ss: get_sockstat: No such file or directory\n"
    counts = _counts(sockstat or "")
    if sockstat is not None:
        counts |= _counts(read("PROC_NET_SOCKSTAT6", "net/sockstat6") or "")
    established = _established(read("PROC_NET_SNMP", "net/snmp"))
    if established is None:
        said += "ss: get_snmpstat: No such file or directory\n"
    return _draw(counts, established or 0), said


def _counts(lines: str) -> dict[str, list[int]]:
    """Return the numbers of each line `NAME: word number word number ...`."""
    found: dict[str, list[int]] = {}
    for line in lines.splitlines():
        name, _, rest = line.partition(" ")
        numbers: list[int] = []
        for word in rest.split()[1::2]:
            try:
                numbers.append(int(word))
            except ValueError:
                break
        found[name.removesuffix(":")] = numbers
    return found


def _established(snmp: str | None) -> int | None:
    """Return CurrEstab of the two lines that begin with `Tcp:`."""
    lines = [line.split() for line in (snmp or "").splitlines() if line.startswith("Tcp:")]
    if len(lines) < 2:
        return None
    try:
        return int(dict(zip(*lines[:2], strict=False))["CurrEstab"])
    except (KeyError, ValueError):
        return None


def _draw(counts: dict[str, list[int]], established: int) -> str:
    def of(name: str, place: int = 0) -> int:
        numbers = counts.get(name, [])
        return numbers[place] if place < len(numbers) else 0

    tcp4, orphaned, timewait, allocated = (of("TCP", place) for place in range(4))
    pairs = {name: (of(name), of(f"{name}6")) for name in ("RAW", "UDP", "FRAG")}
    pairs["TCP"] = tcp4, of("TCP6")
    pairs["INET"] = tuple(sum(pairs[name][side] for name in ("RAW", "UDP", "TCP")) for side in (0, 1))  # type: ignore[assignment]
    closed = allocated - (sum(pairs["TCP"]) - timewait)
    lines = [
        f"Total: {of('sockets')}",
        f"TCP:   {allocated + timewait} (estab {established}, closed {closed}, orphaned {orphaned}, "
        f"timewait {timewait})",
        "",
        "Transport Total     IP        IPv6",
        *(
            f"{name}\t  {sum(pairs[name]):<9} {pairs[name][0]:<9} {pairs[name][1]:<9}"
            for name in ("RAW", "UDP", "TCP", "INET", "FRAG")
        ),
        "",
    ]
    return "\n".join(lines) + "\n"
