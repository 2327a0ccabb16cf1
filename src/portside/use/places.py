"""Where to listen and where to send on to, as people write it.

| text | place |
|---|---|
| `8080`, `http` | a port on this host's loopback addresses |
| `*:8080` | that port on every address |
| `10.0.0.5:80`, `[2001:db8::1]:80`, `example.org:https` | an address or a name, and a port |
| `53/udp`, `10.0.0.5:53/udp` | the same over UDP |
| `/run/app.sock`, `./app.sock`, `unix:app.sock`, `@app` | a Unix socket; `@` is an abstract one |
| `fd:3`, `fd:web` | a listening socket that a service manager passed, by its number or its FileDescriptorName= |
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.record import Record

TCP, UDP, UNIX, FD = "tcp", "udp", "unix", "fd"
EVERYWHERE = "*"


class Place(Record):
    """One place: `transport` is TCP, UDP, UNIX or FD; `host` is empty for loopback, `*` for every address.

    `name` is the path of a Unix socket, or the number or name of an inherited descriptor.
    """

    transport: str
    host: str = ""
    port: int | str = 0
    name: str = ""

    def __str__(self) -> str:
        if self.transport in (UNIX, FD):
            return self.name if self.transport == UNIX else f"fd:{self.name}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        text = f"{host}:{self.port}" if host else str(self.port)
        return text + ("/udp" if self.transport == UDP else "")


def parse_place(text: str, transport: str = TCP) -> Place:
    """Read one place; `transport` is what it is without `/tcp` or `/udp`.  Raises BadRequest."""
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"), text)
    if text.startswith(("/", "./", "../", "@")):
        return _unix(text, text)
    if text.startswith("fd:"):
        name = text.removeprefix("fd:")
        number = name.isascii() and name.isdecimal()
        if not name or ":" in name or (number and int(name) < 3):
            raise BadRequest(
                "read place", f"'{text}'", f"'{name}' is no inherited descriptor", "they begin at fd:3"
            )
        return Place(FD, name=str(int(name)) if number else name)
    rest, slash, protocol = text.partition("/")
    if slash and protocol not in (TCP, UDP):
        raise BadRequest("read place", f"'{text}'", f"there is no protocol '{protocol}'", "tcp or udp")
    host, port = _split(rest, text)
    return Place(protocol or transport, host, _port(port, text))


def _unix(path: str, text: str) -> Place:
    if not path.lstrip("@") or "\0" in path:
        raise BadRequest("read place", f"'{text}'", "a Unix socket needs a path")
    return Place(UNIX, name=path)


def _split(rest: str, text: str) -> tuple[str, str]:
    """Return host and port; a host of IPv6 is in brackets."""
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not (bracket and port.startswith(":")):
            raise BadRequest(
                "read place", f"'{text}'", "the bracket is not closed and followed by a port", "[::1]:80"
            )
        return host, port[1:]
    host, _, port = rest.rpartition(":")
    if ":" in host:
        raise BadRequest("read place", f"'{text}'", "an IPv6 address needs brackets", f"[{host}]:{port}")
    return host, port


def _port(port: str, text: str) -> int | str:
    if port.isascii() and port.isdecimal():
        if int(port) > 65535:
            raise BadRequest("read place", f"'{text}'", f"{port} is no port", "0 to 65535")
        return int(port)
    if not port or not port.isascii() or not port.replace("-", "").replace("_", "").isalnum():
        raise BadRequest("read place", f"'{text}'", f"'{port}' is no port", "a number or a service's name")
    return port
