"""The options of TLS that several commands share: any of them asks for TLS."""

from __future__ import annotations

from portside.cli.command import Argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.system.tls import Tls

CERTIFICATE = (
    Argument(("--cert",), "our certificate, with those that certify it (PEM)", "FILE", default=""),
    Argument(("--key",), "its key, if it is not in the same file", "FILE", default=""),
)


def tls_of(arguments: SimpleNamespace) -> Tls | bool:
    """Return what was asked of TLS, False for none; raises BadRequest."""
    pin = getattr(arguments, "pin", "")
    if not (arguments.tls or arguments.ca or arguments.cert or arguments.key or pin):
        return False
    from portside.errors import BadRequest
    from portside.system.tls import Tls

    if arguments.key and not arguments.cert:
        raise BadRequest("use", f"'{arguments.key}'", "a key is of a certificate", "name it with --cert")
    return Tls(ca=arguments.ca, pin=pin, certificate=arguments.cert, key=arguments.key)
