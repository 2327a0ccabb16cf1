"""Why a port cannot be bound, reached or connected to: the steps in order, which fails, and what mends it.

    PORT            local: `scene` reads, `local` judges what a connection meets, `binding` tries to bind
    HOST:PORT       remote: name, `ways`, `limits`, the attempt, TLS; `--to bind`: binding that very address

A step is a record (`steps`): passed, failed or could not tell, with its evidence and the command that mends it.
Nothing is changed; what is tried is a bind that is let go of at once, and a connection that is closed at once.
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.see.why.steps import Step, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.see.why.remote import Firewall

BIND, CONNECT = "bind", "connect"
PROTOCOLS = ("tcp", "udp")
TIMEOUT = 5.0  # seconds for one attempt


def why_port(port: int, protocol: str = "", to: str = "") -> Walk:
    """Return why a local port cannot be connected to, and why it cannot be bound; `to` narrows it to one of both.

    `protocol` is `tcp`, `udp` or empty for both.  Raises BadRequest for what is no port.
    """
    from portside.see.why import binding, local
    from portside.see.why.scene import look

    _check(port, protocol)
    scene = look(port, (protocol,) if protocol else PROTOCOLS)
    found = [*local.steps(scene)] if to != BIND else []
    found += [*binding.steps(scene)] if to != CONNECT else []
    return Walk(f"{port}/{protocol}" if protocol else str(port), tuple(found))


def why_host(
    host: str, port: int, protocol: str = "", to: str = CONNECT, *, timeout: float = TIMEOUT, tls: bool = False,
    firewall: Firewall | None = None,
) -> Walk:  # fmt: skip
    """Return why HOST:PORT cannot be connected to, or (`to`: bind) why that address cannot be bound here.

    `timeout` are the seconds for each attempt, `tls` asks for a TLS handshake as well.  `firewall` is asked what the
    rules do to a connection to this host itself that failed (the command line has one).

    Raises BadRequest for what is no port or no host name.
    """
    from portside.see.why import remote

    _check(port, protocol)
    asked = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asked += f"/{protocol}" if protocol else ""
    if to == BIND:
        return Walk(asked, tuple(_binding(host, port, protocol)))
    found = remote.steps(host, port, protocol or "tcp", timeout=timeout, tls=tls, firewall=firewall)
    return Walk(asked, tuple(found))


def _binding(host: str, port: int, protocol: str) -> list[Step]:
    from portside.see.why import binding, remote
    from portside.see.why.scene import look

    step, targets = remote.resolved(host, port, protocol or "tcp")
    if not targets:
        return [step]
    scene = look(port, (protocol,) if protocol else PROTOCOLS)
    return [step, *binding.steps(scene, [target.address for target in targets])]


def _check(port: int, protocol: str) -> None:
    if not 1 <= port <= 65535:
        raise BadRequest("look into", f"port {port}", "a port is a number from 1 to 65535")
    if protocol not in ("", *PROTOCOLS):
        raise BadRequest("look into", f"'{protocol}'", "tcp and udp are looked into")
