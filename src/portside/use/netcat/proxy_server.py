"""An HTTP proxy for one client: CONNECT tunnels, and GET, HEAD and POST to http addresses; Basic and Digest logins.

The client's head is read with a limit in bytes and in time, so that one that sends nothing costs a thread for a while
and no more.  A request is passed on as HTTP/1.0 with `Connection: close`: one connection, one answer.
"""

from __future__ import annotations

import time

from portside.errors import BadReply, PortsideError
from portside.use import sockets
from portside.use.relay.driver import Driver
from portside.use.relay.ends import End, SocketEnd
from portside.use.relay.flows import choose
from portside.use.relay.relay import Relay
from portside.wire import http_message as http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.wire.http_auth import Guard

METHODS = ("CONNECT", "GET", "HEAD", "POST")
_HEAD_WITHIN = 30.0  # seconds
_CONNECT_WITHIN = 30.0


def serve(
    client: SocketEnd, guard: Guard | None, note: Callable[[str], None], *, idle: float | None = None
) -> None:
    """Serve one client to its end and close it; `note` is told a line for each request and refusal."""
    try:
        head, rest = _read_head(client)
        request = http.parse_request(head)
        target = http.target_of(request)
    except BadReply as error:
        note(str(error))
        _refuse(client, 400)
        return
    except (OSError, TimeoutError) as error:
        note(f"read request: {error or 'no request came in time'}")
        client.close()
        return
    if request.method not in METHODS:
        _refuse(client, 405, (("Allow", ", ".join(METHODS)),))
    elif guard is not None and not guard.admits(
        request.field("Proxy-Authorization"), request.method, (request.target, target.path), time.time()
    ):
        _refuse(client, 407, guard.challenges(time.time()))
    else:
        note(f"{request.method} {target.host}:{target.port}")
        _join(client, request, target, rest, note, idle)


def _join(
    client: SocketEnd,
    request: http.Request,
    target: http.Target,
    rest: bytes,
    note: Callable[[str], None],
    idle: float | None,
) -> None:
    from portside.use.relay.rules import FORWARD

    try:
        addresses = sockets.resolve(target.host, target.port)
        origin = SocketEnd(sockets.connect_any(addresses, timeout=_CONNECT_WITHIN))
    except PortsideError as error:
        note(str(error))
        _refuse(client, 504)
        return
    forth, back = (http.forwarded(request, target), b"") if target.path else (b"", http.answer(200))
    flows = choose(client, origin, rest=forth + rest), choose(origin, client, rest=back)
    with Driver() as driver:
        Relay(driver, client, origin, FORWARD.replace(idle=idle), flows=flows).start()
        driver.run()


def _read_head(client: SocketEnd) -> tuple[bytes, bytes]:
    """Return the head and what came behind it; raises BadReply, OSError, TimeoutError."""
    buffer, found = memoryview(bytearray(4096)), b""
    limit = time.monotonic() + _HEAD_WITHIN
    while http.END not in found:
        try:
            size = client.read_into(buffer)
        except BlockingIOError:
            if not _readable(client, limit - time.monotonic()):
                raise TimeoutError from None
            continue
        if not size:
            raise BadReply("read", "request", "it ends before its head does")
        found += bytes(buffer[:size])
        if len(found) > http.MOST:
            raise BadReply("read", "request", f"its head is longer than {http.MOST} bytes")
    head, _, rest = found.partition(http.END)
    return head + http.END, rest


def _readable(end: End, seconds: float) -> bool:
    import select

    poll = select.poll()
    poll.register(end.source, select.POLLIN)
    return seconds > 0 and bool(poll.poll(seconds * 1000))


def _refuse(client: SocketEnd, code: int, fields: tuple[tuple[str, str], ...] = ()) -> None:
    """Answer and close, after what the client still sends was read: a reset could overtake the answer."""
    try:
        client.write(memoryview(http.answer(code, fields)))
        client.shut()
        limit, buffer = time.monotonic() + 1.0, memoryview(bytearray(4096))
        while _readable(client, limit - time.monotonic()) and client.read_into(buffer):
            pass
    except OSError:  # BlockingIOError is one
        pass
    client.close()
