"""ncat --proxy: through an HTTP, SOCKS 4 or SOCKS 5 proxy, with a login where the proxy wants one."""

from __future__ import annotations

from portside.errors import BadRequest, PortsideError
from portside.faces.ncat.words import Quit, reason, wrong
from portside.use import proxy, sockets
from portside.wire import http_auth, http_connect, socks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from portside.faces.ncat.options import Options


def through(options: Options) -> socket:
    """Return a connection through the proxy; raises Quit."""
    kind = options.proxy_type or "http"
    credential = ""
    while True:
        connection = _reached(options)
        talk = _negotiation(options, kind, credential)
        try:
            proxy.negotiate(connection, talk)
            return connection
        except PortsideError as error:
            connection.close()
            if not credential and isinstance(talk, http_connect.Connect) and getattr(error, "code", 0) == 407:
                credential = _credential(options, talk)
                if credential:
                    continue
            raise _refused(kind, error, talk) from error


def _reached(options: Options) -> socket:
    from portside.faces.ncat.client import direct

    try:
        return direct(options.replace(udp=False), options.proxy, options.proxy_port)
    except PortsideError as error:
        raise Quit(f"Proxy connection failed: {reason(error)}.", 1) from error


def _negotiation(options: Options, kind: str, credential: str) -> proxy.Negotiation:
    host, port = _target(options, kind), options.port or 0
    user, colon, password = options.proxy_auth.partition(":")
    try:
        if kind == "http":
            headers = (f"Proxy-Authorization: {credential}",) if credential else ()
            return http_connect.Connect(str(host), port, headers)
        if kind == "socks4":
            return socks.Version4(host, port, options.proxy_auth)
        return socks.Version5(host, port, user if colon else None, password)
    except BadRequest as error:
        raise wrong(f"{error.reason}.") from error


def _target(options: Options, kind: str) -> str | bytes:
    """Return the host as the proxy is to get it: a name for it to resolve, or an address."""
    host = options.host or ""
    raw = proxy.raw_address(host)
    if raw is None and options.proxy_dns in ("local", "both"):
        family = sockets.V4 if kind == "socks4" else 0
        try:
            host = sockets.resolve(host, options.port or 0, family=family)[0].place[0]
            raw = proxy.raw_address(host)
        except PortsideError as error:
            if options.proxy_dns == "local":
                raise wrong(f'Could not resolve hostname "{host}": {reason(error)}.') from error
    if raw is None and options.proxy_dns == "none":
        raise wrong(f'Could not resolve hostname "{host}": --proxy-dns none.')
    return host if raw is None or kind == "http" else raw


def _credential(options: Options, talk: http_connect.Connect) -> str:
    """Return the login that answers the proxy's challenge: Digest where it offers that, else Basic."""
    if not options.proxy_auth:
        return ""
    user, _, password = options.proxy_auth.partition(":")
    offers = {}
    for line in talk.headers:
        name, _, value = line.partition(":")
        if name.strip().lower() == "proxy-authenticate":
            scheme, pairs = http_auth.parse(value)
            offers[scheme] = pairs
    if "digest" in offers:
        import secrets

        uri = talk.target
        made = http_auth.digest(user, password, offers["digest"], "CONNECT", uri, secrets.token_hex(8))
        if made:
            return made
    return http_auth.basic(user, password) if "basic" in offers else ""


_SMALL_LETTERS = (1, 2)  # Ncat's text of these SOCKS 5 replies begins with one
_CUT_SHORT = {
    socks.METHOD: "malformed connect response from proxy",
    socks.PASSWORD_STAGE: "malformed proxy authentication response",
    socks.REQUEST: "malformed request response from proxy",
}


def _refused(kind: str, error: PortsideError, talk: proxy.Negotiation) -> Quit:
    """Return what ends the run, as Ncat says it."""
    refusal = error if isinstance(error, socks.ProxyRefused) else None
    code = refusal.code if refusal else 0
    if kind == "http":
        if refusal is None:
            return Quit("Error reading proxy response Status-Line.", 1)
        return Quit(f"Proxy returned status code {-1 if refusal.stage == socks.FORM else code}.", 1)
    if kind == "socks4":
        return Quit("Error: short response from proxy." if refusal is None else "Proxy connection failed.", 1)
    assert isinstance(talk, socks.Version5)
    if refusal is None:
        said = _CUT_SHORT[talk.stage]
    else:
        said = {
            socks.FORM: f"wrong SOCKS version in {'connect' if talk.stage == socks.METHOD else 'request'} response",
            socks.METHOD: "no acceptable authentication method proposed"
            if code == socks.NO_METHOD
            else "proxy selected invalid authentication method",
            socks.PASSWORD_STAGE: "authentication failed",
            socks.REQUEST: _reply(code),
            socks.ADDRESS_TYPE: "invalid proxy bind address type",
        }[refusal.stage]
    return Quit(f"Error: {said}.", 1)


def _reply(code: int) -> str:
    text = socks.VERSION_5.get(code, "unassigned value in the reply")
    return text[0].lower() + text[1:] if code in _SMALL_LETTERS else text
