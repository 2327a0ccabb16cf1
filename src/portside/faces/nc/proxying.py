"""nc -x and -X: through a SOCKS 4, SOCKS 5 or HTTP proxy, with the model's words for what goes wrong.

The model sends a password to HTTP proxies alone, and asks for it on the terminal when the proxy asks for it.
"""

from __future__ import annotations

import os

from portside.errors import BadRequest, PortsideError
from portside.faces.nc.words import Refused, reason, tell
from portside.use import proxy, sockets
from portside.wire import http_connect, socks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from portside.faces.nc.options import Options

_PORTS = {"http": "3128", "4": "1080", "5": "1080"}
_TRIES = 3


def through(options: Options, port: int) -> socket | None:
    """Return a connection through the proxy, None where the proxy cannot be reached; raises Refused."""
    from portside.faces.nc.openbsd import reach

    host, proxy_port = split(options.proxy)
    target = options.host or ""
    secret = ""
    for tried in range(_TRIES + 1):
        connection = reach(options, host, proxy_port or _PORTS[options.proxy_kind])
        if connection is None:
            return None
        talk = _negotiation(options, target, port, secret)
        try:
            proxy.negotiate(connection, talk)
            return connection
        except PortsideError as error:
            connection.close()
            if not (isinstance(error, socks.ProxyRefused) and error.code == 407 and options.proxy_user):
                raise _refused(options, error, talk) from error
        if tried:
            tell("Proxy authentication failed")
        if tried < _TRIES:
            secret = _ask(options.proxy_user, host)
    raise Refused("nc: Too many authentication failures")


def split(text: str) -> tuple[str, str | None]:
    """Return the host and port of -x: `host`, `host:port`, `[address]:port`; raises Refused."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise Refused("nc: missing closing bracket in proxy")
        if rest and not rest.startswith(":"):
            raise Refused("nc: garbage proxy port delimiter")
        return host, rest[1:] if rest else None
    host, colon, port = text.rpartition(":")
    return (host, port) if colon else (port, None)


def _negotiation(options: Options, host: str, port: int, secret: str) -> proxy.Negotiation:
    try:
        if options.proxy_kind == "http":
            from portside.wire.http_auth import basic

            login = f"Proxy-Authorization: {basic(options.proxy_user or '', secret)}"
            headers = (login,) if secret else ()
            return http_connect.Connect(host, port, headers)
        if options.proxy_kind == "5":
            return socks.Version5(proxy.raw_address(host) or host, port)
        return socks.Version4(_v4(host, port), port)
    except BadRequest as error:
        what = "host name too long for SOCKS5" if options.proxy_kind == "5" else "Invalid hostname"
        raise Refused(f"nc: {what}") from error


def _v4(host: str, port: int) -> bytes:
    try:
        address = sockets.resolve(host, port, family=sockets.V4)[0]
    except PortsideError as error:
        raise Refused(f'nc: getaddrinfo("{host:.64}", "{port}"): {reason(error)}') from error
    return proxy.raw_address(address.place[0]) or b""


def _refused(options: Options, error: PortsideError, talk: proxy.Negotiation) -> Refused:
    if isinstance(error, proxy.CutShort):
        said = reason(error) if error.__cause__ else os.strerror(32)  # EPIPE, as atomicio() sets it
        if options.proxy_kind == "http":
            return Refused(f"nc: proxy read: {said}")
        wanted = 3 if error.wanted == 2 else error.wanted
        return Refused(f"nc: read failed ({error.got}/{wanted}): {said}")
    assert isinstance(error, socks.ProxyRefused)
    texts = {
        socks.METHOD: "authentication method negotiation failed",
        socks.ADDRESS_TYPE: "connection failed, unsupported address type",
        http_connect.LONG_LINE: "proxy read too long",
        http_connect.MANY_HEADERS: "Too many proxy headers received",
        socks.REQUEST: f"connection failed, SOCKSv{options.proxy_kind} error: {error.reason}",
    }
    if isinstance(talk, http_connect.Connect) and error.stage in (socks.REQUEST, socks.FORM):
        return Refused(f'nc: Proxy error: "{talk.status}"')
    return Refused(f"nc: {texts.get(error.stage, error.reason)}")


def _ask(user: str | None, host: str) -> str:
    from portside.system.terminal import ask_secret

    secret = ask_secret(f"Proxy password for {user}@{host}: ")
    if secret is None:
        raise Refused("nc: Unable to read proxy passphrase")
    return secret
