"""`portside forward`: relays connections and datagrams from listeners to targets, until it is told to end."""

from __future__ import annotations

import gc
import signal

from portside.cli.command import FOUND, Argument, Command
from portside.cli.typed import count, seconds
from portside.errors import BadRequest, PortsideError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace
    from typing import Any

    from portside.cli.output import Output
    from portside.use.forward.forwarder import Forwarder
    from portside.use.forward.rules import Configuration


_ARGUMENTS = (
    Argument(
        ("places",),
        "pairs: where to listen (8080, *:8080, 10.0.0.1:80, 53/udp, /run/app.sock, fd:3, fd:NAME), and where to "
        "send on to (the same forms; several targets with commas)",
        "LISTEN TARGET",
        many="*",
    ),
    Argument(("--config",), "a file of rules, in TOML or rinetd's syntax; read again on SIGHUP", "FILE"),
    Argument(
        ("--allow",), "networks that may connect, with commas; all others may not", "NETWORKS", group="who"
    ),
    Argument(("--deny",), "networks that may not connect, with commas", "NETWORKS", group="who"),
    Argument(("--per-source",), "connections of one address at once", "N", convert=count, group="who"),
    Argument(("--max-conns",), "connections of one listener at once", "N", convert=count, group="who"),
    Argument(
        ("--accept-proxy",),
        "connections come from proxies in these networks, and begin with a PROXY header (version 1 or 2)",
        "NETWORKS",
        group="PROXY protocol",
    ),
    Argument(
        ("--send-proxy",),
        "tell targets who connects, by this version",
        choices=("v1", "v2"),
        group="PROXY protocol",
    ),
    Argument(
        ("--balance",),
        "several targets: by turns (round), or the first that works",
        choices=("round", "first"),
        group="targets",
    ),
    Argument(
        ("--health",), "check the targets at this interval", "SECONDS", convert=seconds, group="targets"
    ),
    Argument(
        ("--resolve",),
        "look names up again at this interval (60)",
        "SECONDS",
        convert=seconds,
        group="targets",
    ),
    Argument(
        ("--connect-timeout",),
        "for each address of a target (10)",
        "SECONDS",
        convert=seconds,
        group="targets",
    ),
    Argument(("--source",), "connect to targets from this address", "ADDRESS", group="targets"),
    Argument(
        ("--idle",),
        "end connections after so much silence (UDP: 60; else never)",
        "SECONDS",
        convert=seconds,
        group="times",
    ),
    Argument(
        ("--grace",),
        "what open connections have left after SIGTERM (30)",
        "SECONDS",
        default=30.0,
        convert=seconds,
        group="times",
    ),
    Argument(("--stats",), "print the counters at this interval, and at the end", "SECONDS", convert=seconds),
    Argument(("--dry-run",), "check what was typed and the file, print the rules, and do nothing"),
)
_SETTINGS = (
    "per_source", "send_proxy", "balance", "health", "resolve", "connect_timeout", "source", "idle",
)  # fmt: skip
_LISTS = ("allow", "deny", "accept_proxy")


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Forward until SIGTERM has drained the connections, or SIGINT ended them."""
    from portside.cli.forward_log import Log
    from portside.use.activation import notify
    from portside.use.forward.forwarder import Forwarder

    configuration = _configuration(arguments)
    if arguments.dry_run:
        _show(configuration, output)
        return FOUND
    gc.enable()  # `entry` has switched it off, for commands that end
    _allow_many_descriptors()
    log = Log(output, configuration)
    forwarder = Forwarder(configuration, on_event=log.tell, grace=arguments.grace)
    forwarder.open()
    log.begin(forwarder, arguments.stats)
    signal.signal(signal.SIGTERM, lambda *_: _drain(forwarder))
    signal.signal(signal.SIGUSR1, lambda *_: forwarder.post(lambda: log.statistics(forwarder)))
    if arguments.config:
        signal.signal(signal.SIGHUP, lambda *_: forwarder.post(lambda: _reload(forwarder, arguments, output)))
    try:
        notify(_ready(forwarder))
        forwarder.work()
        if arguments.stats:
            log.statistics(forwarder)
    finally:
        forwarder.close()
        log.close()
    return FOUND


def _show(configuration: Configuration, output: Output) -> None:
    """Print the rules, one line each."""
    shown = [(str(rule.listen), [str(target) for target in rule.targets]) for rule in configuration.rules]
    if output.json:
        output.envelope("forward", [{"listen": listen, "targets": targets} for listen, targets in shown])
        return
    for listen, targets in shown:
        output.write(output.clean(f"{listen} > {', '.join(targets)}") + "\n")


def _configuration(arguments: SimpleNamespace) -> Configuration:
    """Return the rules that were typed and those of the file."""
    from portside.use.forward.rules import Configuration, checked

    places = arguments.places
    if len(places) % 2:
        raise BadRequest(
            "forward", f"'{places[-1]}'", "it has no target", "places go in pairs: LISTEN TARGET"
        )
    if not places and not arguments.config:
        raise BadRequest("forward", "", "there is nothing to forward", "portside forward 8080 10.0.0.5:80")
    rules = []
    if places:
        from portside.use.forward.toml_file import rules_of

        settings = _settings(arguments)
        for listen, target in zip(places[::2], places[1::2], strict=True):
            rules += rules_of(listen, target, **settings)
    if not arguments.config:
        return Configuration(checked(rules))
    from portside.use.forward.files import read_configuration

    read = read_configuration(arguments.config)
    return read.replace(rules=checked([*rules, *read.rules]))


def _settings(arguments: SimpleNamespace) -> dict[str, Any]:
    given = {name: getattr(arguments, name) for name in _SETTINGS} | {"most": arguments.max_conns}
    given |= {name: text.split(",") for name in _LISTS if (text := getattr(arguments, name))}
    return {key: value for key, value in given.items() if value is not None}


def _ready(forwarder: Forwarder) -> str:
    """Return what a service manager is told once all listeners are there."""
    return f"READY=1\nSTATUS=listening on {', '.join(forwarder.addresses)}"


def _drain(forwarder: Forwarder) -> None:
    from portside.use.activation import notify

    forwarder.drain()
    notify("STOPPING=1")


def _reload(forwarder: Forwarder, arguments: SimpleNamespace, output: Output) -> None:
    """Read the file again; a bad one changes nothing."""
    from portside.use.activation import notify

    notify("RELOADING=1")
    try:
        forwarder.reload(_configuration(arguments))
    except PortsideError as error:
        output.note(f"{error}; going on as before")
    notify(_ready(forwarder))


def _allow_many_descriptors() -> None:
    """Each connection takes two, and four while much is moved: take as many as may be had."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


COMMAND = Command(
    "forward",
    "relay TCP, UDP and Unix sockets from listeners to targets, half-close kept",
    _ARGUMENTS,
    run,
    description="Listen, and send on what comes: connections and datagrams, each by its own kind.  A port alone is\n"
    "on this host's loopback addresses.  One line is printed for each connection when it is over.  SIGTERM stops\n"
    "listening and lets open connections end, SIGHUP reads --config again, SIGUSR1 prints the counters.",
    examples="  portside forward 8080 10.0.0.5:80\n"
    "  portside forward '*:443' 10.0.0.5:443,10.0.0.6:443 --health 5 --send-proxy v2\n"
    "  portside forward 5353/udp 10.0.0.53:53 8000 /run/app.sock\n"
    "  portside forward --config /etc/rinetd.conf",
)
