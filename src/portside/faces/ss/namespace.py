"""ss -N NAME: run in another network namespace, by its name under /run/netns."""

from __future__ import annotations

import errno
import os

from portside.errors import NotPermitted, PortsideError
from portside.faces import printable
from portside.faces.ss.context import Stop
from portside.system.netns import NetworkNamespace, run_inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NAMED = "/run/netns"


def run_in(name: str, function: Callable[[], int]) -> int:
    """Return what `function` returns in that namespace; raises Stop where it cannot be entered."""
    path = f"{_NAMED}/{name}"
    shown = printable(name)
    try:
        inode = os.stat(path).st_ino
    except OSError as error:
        raise Stop(1, f'Cannot open network namespace "{shown}": {error.strerror}\n') from None
    try:
        return run_inside(NetworkNamespace(inode, name, path), function)
    except PortsideError as error:
        number = error.errno or (errno.EPERM if isinstance(error, NotPermitted) else errno.EINVAL)
        reason = os.strerror(number)
        raise Stop(1, f'setting the network namespace "{shown}" failed: {reason}\n') from None
