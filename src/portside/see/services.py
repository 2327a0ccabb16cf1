"""The names of services: a guess from the number, by the host's /etc/services and IANA's registry."""

from __future__ import annotations

from portside.system.host import LIVE, Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def service_names(host: Host = LIVE) -> Callable[[int, str], str]:
    """Return the function that guesses a service's name from (port, transport), empty where there is none."""
    from portside.ports.registry import Registry

    return Registry(host.read_or("/etc/services")).name_of
