"""What `check` and `wait` are told to look at: one word, one goal.

    db:5432  [::1]:5432  :5432  5432      TCP; without a host, this one
    db:53/udp  udp://db:53                UDP: open when it answers a datagram
    tls://db:5433                         TCP, then a TLS handshake whose certificate is verified
    http://db:8080/health  https://db/    a request; the status decides
    tcp4://db:1  tcp6://db:1              one family alone
    /run/db.sock  unix:///run/db.sock     a Unix socket (`@name` is an abstract one)
    http+unix://%2Frun%2Fdb.sock/health   a request over a Unix socket, whose path is percent-encoded
    file:///run/db.pid                    a file that is there

`HOST PORT` in two words is taken too, and a range of ports (`db:8000-8003`, `db 8000-8003`) stands for each of them:
so nc -z has it.  A port may be a service's name.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portside.ports.registry import Registry

MOST_GOALS = 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEMES = ("tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "tls", "http", "https", "http+unix", "unix", "file")
_HERE = "localhost"


class Goal(Record):
    """One thing to look at: `kind` is tcp, udp, tls, http, https, unix, http+unix or file.

    `path` is the request's or the file's; `family` 4 or 6 keeps to one; `text` is what it is called.
    """

    kind: str
    text: str
    host: str = ""
    port: int = 0
    path: str = ""
    socket_path: str = ""
    family: str = ""


def parse_goals(words: Sequence[str], *, udp: bool = False, registry: Registry | None = None) -> list[Goal]:
    """Return the goals of words, each once; BadRequest says which word is wrong.

    `udp`: ports without a transport are UDP's.
    """
    goals = list(dict.fromkeys(goal for word in _joined(words) for goal in _goals(word, udp, registry)))
    if len(goals) > MOST_GOALS:
        raise BadRequest(
            "check", "", f"{len(goals):,} targets are more than {MOST_GOALS:,}", "see 'portside scan'"
        )
    return goals


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Yield the words, `HOST PORT` as one."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        bare = "/" not in word and not _is_ports(word) and (":" not in word or _is_ipv6(word))
        if bare and rest and _is_ports(rest[0]):
            word = f"[{word}]:{rest.pop(0)}" if ":" in word else f"{word}:{rest.pop(0)}"
        yield word


def _is_ports(word: str) -> bool:
    return word.isascii() and all(part.isdecimal() for part in word.split("-", 1))


def _is_ipv6(word: str) -> bool:
    return word.count(":") > 1 and not word.startswith("[")


def _goals(word: str, udp: bool, registry: Registry | None) -> Iterator[Goal]:
    scheme, colon, rest = word.partition("://")
    if not colon and word.startswith("unix:"):
        scheme, colon, rest = "unix", ":", word[5:]
    if word.startswith(("/", "@")):
        scheme, colon, rest = "unix", "://", word
    if not colon:
        yield from _tcp_or_udp(word, word, "udp" if udp else "tcp", "", registry)
    elif scheme not in _SCHEMES:
        raise _refusal(word, f"unknown scheme '{scheme[:20]}'", f"use one of {', '.join(_SCHEMES)}")
    elif scheme in ("unix", "file"):
        if not rest:
            raise _refusal(word, "no path")
        yield Goal(
            scheme, word, path=rest if scheme == "file" else "", socket_path=rest if scheme == "unix" else ""
        )
    elif scheme == "http+unix":
        from urllib.parse import unquote

        host, slash, path = rest.partition("/")
        if not host:
            raise _refusal(word, "no socket's path", "write http+unix://%2Frun%2Fdb.sock/path")
        yield Goal(scheme, word, host=_HERE, path=slash + path or "/", socket_path=unquote(host))
    elif scheme in ("http", "https"):
        yield _request(word, scheme, rest, registry)
    else:
        family = scheme[-1] if scheme[-1] in "46" else ""
        yield from _tcp_or_udp(word, rest.rstrip("/"), scheme.rstrip("46"), family, registry)


def _request(word: str, scheme: str, rest: str, registry: Registry | None) -> Goal:
    place, slash, path = rest.partition("/")
    if "@" in place:
        raise _refusal(word, "user names are not sent", "leave out what stands before '@'")
    if any(ord(sign) <= 32 or ord(sign) == 127 for sign in path):
        raise _refusal(word, "a blank or control character in the path", "write it percent-encoded")
    host, port = _split(word, place)
    number = _port(word, port, registry) if port else _DEFAULT_PORTS[scheme]
    return Goal(scheme, word, host or _HERE, number, slash + path.partition("#")[0] or "/")


def _tcp_or_udp(word: str, place: str, kind: str, family: str, registry: Registry | None) -> Iterator[Goal]:
    from portside.ports.transport import split_transport

    place, transport = split_transport(place)
    if transport not in ("", "tcp", "udp"):
        raise _refusal(word, f"'{transport}' cannot be checked", "use tcp or udp")
    kind = transport or kind
    host, port = (_HERE, place) if _is_ports(place) else _split(word, place)
    if not port:
        raise _refusal(word, "no port", "write HOST:PORT")
    first, dash, last = port.partition("-")
    if dash and _is_ports(port) and kind != "tls":
        low, high = _port(word, first, registry), _port(word, last, registry)
        if low > high:
            raise _refusal(word, "the range is reversed", f"write {high}-{low}")
        for number in range(low, high + 1):
            yield Goal(kind, _called(host or _HERE, number, kind), host or _HERE, number, family=family)
        return
    yield Goal(kind, word, host or _HERE, _port(word, port, registry), family=family)


def _called(host: str, port: int, kind: str) -> str:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return place if kind == "tcp" else f"{kind}://{place}"


def _split(word: str, place: str) -> tuple[str, str]:
    """Return (host, port) of `host:port`, `[v6]:port`; the port is empty where there is none."""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _refusal(word, "the brackets do not fit", "write [::1]:80")
        return host, rest[1:]
    if place.count(":") > 1:
        raise _refusal(word, "an IPv6 address needs brackets before a port", "write [::1]:80")
    host, _, port = place.partition(":")
    if "/" in host or " " in host or not host.isprintable():
        raise _refusal(word, "neither HOST:PORT nor a URL", "write db:5432, or tcp://db:5432")
    return host, port


def _port(word: str, text: str, registry: Registry | None) -> int:
    if text.isascii() and text.isdecimal():
        if len(text) > 5 or not 1 <= int(text) <= 65535:
            raise _refusal(word, f"'{text[:10]}' is no port", "give a number from 1 to 65535")
        return int(text)
    from portside.ports.spec import parse_port

    try:
        return parse_port(text, registry)[0]
    except BadRequest as error:
        raise _refusal(word, error.reason, error.next_step) from None


def _refusal(word: str, reason: str, next_step: str = "") -> BadRequest:
    return BadRequest("read target", repr(word if len(word) <= 60 else word[:57] + "..."), reason, next_step)
