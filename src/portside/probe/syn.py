"""The syn method: a SYN to each port, an answer's flags tell; no connection is ever made.

It needs CAP_NET_RAW and numpy (the extra `portside[scan]`).  A SYN-ACK is *open*, a reset *closed*, an ICMP error
*filtered* with its reason and its sender; nothing at all, after retries, *filtered* with no-response.  The kernel,
which knows of no connection, resets what a SYN-ACK opens: the target is left with nothing half open.
The engine is `probe.packets`; how a method is used is told in the package's docstring.
"""

from __future__ import annotations

from portside.errors import NotSupported
from portside.probe.method import Counters
from portside.probe.order import Left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.probe.method import Options
    from portside.probe.order import Order
    from portside.probe.packets.engine import Engine
    from portside.probe.records import Result


class Syn:
    """A SYN scan of an order; see `probe.method.Method`.

    Raises NotSupported without numpy, NotPermitted without CAP_NET_RAW.
    """

    def __init__(self, order: Order, options: Options, left: Left) -> None:
        check()
        self.counters = Counters(order.size)
        self.counters.decided = left.next - len(left.places)
        self._engine: Engine = _engine()(order, options, left, self.counters)

    def batches(self) -> Iterator[list[Result]]:
        """Probe; yield what was learnt."""
        return self._engine.batches()

    def left(self) -> Left:
        """Return what is not decided."""
        return self._engine.left()


def check() -> None:
    """Raise NotSupported or NotPermitted where a SYN scan cannot be made here, before anything is begun."""
    from portside.system.packets import check_permitted

    check_permitted()
    _engine()


def _engine() -> type[Engine]:
    try:
        from portside.probe.packets.engine import Engine
    except ImportError as error:
        if error.name and error.name.partition(".")[0] != "numpy":
            raise
        raise NotSupported(
            "scan", "by syn", "numpy is not installed", "pip install 'portside[scan]'"
        ) from error
    return Engine
