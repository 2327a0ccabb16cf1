"""Many open ports asked at once, each by a thread of its own for as long as its bounds allow."""

from __future__ import annotations

from portside.probe.identify.asking import Bounds, ask
from portside.probe.records import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portside.probe.records import Result

AT_ONCE = 64
TCP = "tcp"


def identify(
    results: Iterable[Result], listen_only: bool = False, bounds: Bounds | None = None
) -> list[Result]:
    """Return the results with what answers on the open TCP ports filled in: `service`, `details`, `banner`.

    UDP ports were asked by their scan already.  The order is kept.
    """
    from concurrent.futures import ThreadPoolExecutor

    def one(result: Result) -> Result:
        if result.state != OPEN or result.protocol != TCP:
            return result
        known = ask(result.address, result.port, result.target, listen_only, bounds)
        found = known.service
        return result.replace(
            service=found.name if found else "", details=found.details if found else (), banner=known.banner
        )

    several = list(results)
    if not several:
        return several
    with ThreadPoolExecutor(min(AT_ONCE, len(several)), "identify") as pool:
        return list(pool.map(one, several))
