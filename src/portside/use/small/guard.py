"""Which datagrams are answered: no loops between services, no floods at third parties.  The caller tells the time.

Loops: two services that answer each other never stop (CERT CA-1996-01), so a datagram from a small service's port,
or from a port that this server answers on itself, gets no answer (FreeBSD's inetd does the same).
Floods: a source address can be forged.  To others than this host an answer is at most three times as long as the
question, headers counted (the limit of RFC 9000 section 8 for addresses that are not validated), and each source (a
/64 of IPv6) has a rate, all of them together ten times that.
"""

from __future__ import annotations

from collections import OrderedDict

from portside.use.small.services import SERVICES

_SERVICE_PORTS = frozenset(service.port for service in SERVICES.values())
_HEADERS = 28  # IPv4 and UDP
_TIMES = 3
_TOGETHER = 10
_SOURCES = 4096  # remembered; the one unheard of for longest is forgotten first
_SHARED = "all"


class Guard:
    """Answers per second and source; `own_ports` are those on which this server answers itself."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.own_ports: set[int] = set()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._together: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def loops(self, host: str, port: int, *, local: bool) -> bool:
        """Whether an answer could come back as a question."""
        return port in _SERVICE_PORTS or port == 0 or (local and port in self.own_ports)

    def allows(self, source: str, now: float) -> bool:
        """Whether a source may have one more answer now; counts it."""
        return _take(self._buckets, source, self._rate, now) and _take(
            self._together, _SHARED, self._rate * _TOGETHER, now
        )

    def cut(self, question: int, answer: bytes) -> bytes:
        """Return as much of an answer as may be sent for a question of that many bytes."""
        return answer[: _TIMES * (_HEADERS + question) - _HEADERS]


def source_of(host: str) -> str:
    """Return what counts as one source: an IPv4 address, the first 64 bits of an IPv6 one."""
    if ":" not in host or "." in host:
        return host
    head, _, tail = host.partition("%")[0].partition("::")
    groups = head.split(":") if head else []
    rest = tail.split(":") if tail else []
    whole = groups + ["0"] * (8 - len(groups) - len(rest)) + rest if "::" in host else groups
    return ":".join(whole[:4])


def _take(buckets: OrderedDict[str, tuple[float, float]], source: str, rate: float, now: float) -> bool:
    """Take one token of a source's bucket, which holds one second's worth and at least one."""
    tokens, last = buckets.pop(source, (max(rate, 1.0), now))
    tokens = min(max(rate, 1.0), tokens + (now - last) * rate)
    allowed = tokens >= 1.0
    buckets[source] = (tokens - 1.0 if allowed else tokens, now)
    if len(buckets) > _SOURCES:
        buckets.popitem(last=False)
    return allowed
