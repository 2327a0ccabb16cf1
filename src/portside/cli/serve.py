"""`portside serve`: the small servers of RFC 862 to 868 on any ports, until interrupted."""

from __future__ import annotations

import gc

from portside.cli.command import FOUND, Argument, Command
from portside.cli.output import Column
from portside.cli.typed import count, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from portside.cli.output import Output
    from portside.use.small.server import Event


def _rate(text: str) -> float:
    try:
        return seconds(text)
    except ValueError:
        raise ValueError(f"'{text}' is not a number above 0") from None


_ARGUMENTS = (
    Argument(
        ("services",),
        "a service, with another port than its own if wanted, and one protocol alone: echo:8888, time/udp; "
        "port 0 is any free one; without a service: which there are",
        "SERVICE[:PORT]",
        many="*",
    ),
    Argument(
        ("--bind",),
        "where to listen: an address, a host's name, or any for every address (default: 127.0.0.1 and ::1)",
        "ADDRESS",
    ),
    Argument(("--max-conns",), "connections at once (1000)", "N", default=1000, convert=count),
    Argument(
        ("--idle",),
        "seconds after which a silent connection is closed (600)",
        "SECONDS",
        default=600.0,
        convert=seconds,
    ),
    Argument(
        ("--rate",),
        "datagrams a second that each source is answered; this host is not counted (10)",
        "N",
        default=10.0,
        convert=_rate,
    ),
)

_COLUMNS = (
    Column("service", "SERVICE", lambda service: service.name),
    Column("port", "PORT", lambda service: str(service.port), right=True),
    Column("rfc", "RFC", lambda service: str(service.rfc), right=True),
    Column("help", "WHAT IT DOES", lambda service: service.help, shrink=1),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Serve until interrupted; without a service, list them."""
    from portside.use.small.server import LOOPBACK, Server, parse_wanted
    from portside.use.small.services import SERVICES

    if not arguments.services:
        if output.json:
            items = [{"service": each.name, "port": each.port, "rfc": each.rfc} for each in SERVICES.values()]
            output.envelope("services", items)
        else:
            output.table(list(SERVICES.values()), _COLUMNS)
        return FOUND
    server = Server(
        [parse_wanted(text) for text in arguments.services],
        bind=(arguments.bind,) if arguments.bind else LOOPBACK,
        idle=arguments.idle,
        most=arguments.max_conns,
        rate=arguments.rate,
        on_event=_teller(output),
    )
    gc.enable()  # `entry` has switched it off, for commands that end
    server.run()
    return FOUND


def _teller(output: Output) -> Callable[[Event], None]:
    """Return what prints an event: one line each, at once, as people or programs read it."""
    from portside.cli.keeping import OUTPUT, Keeper

    keep = Keeper(output.err).keep
    return lambda event: keep(OUTPUT, lambda: _print(output, event))


def _print(output: Output, event: Event) -> None:
    if output.json:
        from portside.cli.json_lines import write_line

        write_line(output, event.kind, event)
    elif output.verbose or not (output.quiet or event.kind == "closed"):
        output.write(f"{output.clean(_line(event))}\n")
        output.out.flush()


def _line(event: Event) -> str:
    service = f"({event.service}/{event.protocol})"
    if event.kind == "listening":
        return f"Listening on {event.address} {service}"
    if event.kind == "connected":
        return f"Connected by {event.address} {service}"
    if event.kind == "datagrams":
        return f"Datagram from {event.address} {service}, {event.received} bytes"
    if event.kind == "refused":
        return f"No answer to {event.address} {service}: {event.reason}"
    moved = f"{event.received} bytes in, {event.sent} out"
    return f"Closed {event.address} {service}: {moved}, {event.seconds:.3f} s, {event.reason}"


COMMAND = Command(
    "serve",
    "echo, discard, chargen, qotd, users, daytime, time: small servers over TCP and UDP",
    _ARGUMENTS,
    run,
    description="Serve any number of the small services of RFC 862 to 868 over TCP and UDP, until interrupted.\n"
    "They listen on this host alone (127.0.0.1 and ::1) unless told otherwise.  A datagram that could make two\n"
    "services answer each other gets no answer, and to other hosts answers are few and short.",
    examples="  portside serve echo:8888\n"
    "  portside serve echo:8007 discard:8009 chargen:8019 daytime:8013 time:8037\n"
    "  portside serve echo:0/tcp --bind any",
)
