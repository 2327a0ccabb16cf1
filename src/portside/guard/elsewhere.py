"""The rules of other network namespaces: each has its own, with its own interfaces, routes and settings.

They are read from inside, by a thread that goes there and ends (`system.netns`); where it may not, or the namespace
is gone, the answer is unknown, with the reason.
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.guard import reading
from portside.guard.environment import Environment
from portside.guard.model import Ruleset
from portside.guard.reach import Judge
from portside.system import netns
from portside.system.host import LIVE, Host


class Elsewhere:
    """The judges of a host's network namespaces, by the name that a socket's record has; each is made once."""

    def __init__(self, host: Host = LIVE) -> None:
        self._host = host
        self._spaces: dict[str, netns.NetworkNamespace] | None = None
        self._judges: dict[str, Judge] = {}

    def judge(self, name: str) -> Judge:
        """Return the judge of a namespace (empty: the own one); its rules are `unread` where they may not be read."""
        if name not in self._judges:
            try:
                self._judges[name] = self._read(name)
            except PortsideError as error:
                why = str(error)
                self._judges[name] = Judge(Ruleset(unread=(why,)), Environment((), ()))
        return self._judges[name]

    def _read(self, name: str) -> Judge:
        def inside() -> Judge:
            return Judge(reading.read_rules(self._host), reading.read_environment(self._host))

        if not name:
            return inside()
        if self._spaces is None:
            self._spaces = {str(space): space for space in netns.every(self._host)[0]}
        space = self._spaces.get(name)
        if space is None:
            raise PortsideError("enter", f"network namespace '{name}'", "it is gone")
        return netns.run_inside_or_here(space, inside, self._host)
