"""What ncat's client and server share: how a session runs, the child it may run with, the files of -o and -x."""

from __future__ import annotations

from portside.errors import PortsideError
from portside.faces.ncat.words import Quit, reason
from portside.use import sockets
from portside.use.netcat.dump import Dump
from portside.use.netcat.talk import PIECE, Talk
from portside.use.relay.ends import SocketEnd
from portside.use.relay.flow import BEFORE
from portside.use.relay.rules import AtEof, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from portside.faces.ncat.options import Options
    from portside.system.tls import Tls
    from portside.use.relay.relay import Relay


def how(options: Options) -> Talk:
    """Return how a session with standard input and output runs: Ncat's published end-of-file rule."""
    goes_on = options.keep and not options.listen
    tells = not (options.no_shutdown or (options.receive_only and not options.listen))
    after_input = 0.0 if options.send_only else options.quit_after
    rules = Rules(
        at_eof=(AtEof(tells, after_input), AtEof(False, None if goes_on else 0.0, drains=True)),
        carries=(not options.receive_only, not options.send_only),
        idle=options.idle,
        pace=options.delay,
    )
    return Talk(
        rules=rules,
        reads=not options.receive_only,
        crlf=options.crlf,
        telnet=options.telnet,
        piece=PIECE if options.udp else 0,
        pauses=(BEFORE, BEFORE),
    )


def tls_wish(options: Options) -> Tls:
    """Return what was asked of TLS."""
    from portside.system.tls import Tls

    return Tls(
        verify=options.verify,
        ca=options.trust,
        certificate=options.certificate,
        key=options.key,
        ciphers=options.ciphers,
        alpn=options.alpn,
        name=options.servername,
    )


def dumped(options: Options) -> Dump:
    """Return the files of -o and -x, to be opened by `with`; raises Quit where they cannot be."""
    try:
        return Dump(options.output, options.hex_output, append=options.append)
    except PortsideError as error:
        raise Quit(f"open: {reason(error)}", bare=True) from error


def full(error: Exception) -> Quit:
    """Return what ends a run whose output a file does not take, as Ncat words it."""
    return Quit(f"write: {reason(error)}", bare=True)


def child_relay(end: SocketEnd, options: Options) -> Relay:
    """Join a connection to a program, until the program has closed its output; returns the relay."""
    from portside.system import children
    from portside.use.relay.copying import Copy
    from portside.use.relay.driver import Driver
    from portside.use.relay.relay import Relay

    variables = environment(end.connection, "UDP" if options.udp else "TCP")
    child = children.start(options.command, shell=options.shell, variables=variables)
    rules = Rules(at_eof=(AtEof(True, None), AtEof(True, 0.0)), idle=options.idle, pace=options.delay)
    try:
        with Driver() as driver:
            program = SocketEnd(child.channel)
            flows = (
                (Copy(end, program, pace=BEFORE), Copy(program, end, pace=BEFORE)) if options.delay else None
            )
            relay = Relay(driver, end, program, rules, flows=flows)
            relay.start()
            driver.run()
    finally:
        child.finish()
    return relay


def environment(connection: socket, protocol: str, peer: Any = None) -> dict[str, str]:
    """Return the NCAT_* variables that tell a child who is at both ends (`peer`: where it is not connected)."""
    if connection.family not in (sockets.V4, sockets.V6):
        return {"NCAT_PROTO": protocol}
    local, remote = connection.getsockname(), peer or connection.getpeername()
    return {
        "NCAT_REMOTE_ADDR": remote[0],
        "NCAT_REMOTE_PORT": str(remote[1]),
        "NCAT_LOCAL_ADDR": local[0],
        "NCAT_LOCAL_PORT": str(local[1]),
        "NCAT_PROTO": protocol,
    }
