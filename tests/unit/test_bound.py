"""The count that saves a walk: believed only when nothing moves and everything adds up."""

from __future__ import annotations

import pytest

from portside.system import bound

SNMP = "Tcp: RtoAlgorithm ActiveOpens PassiveOpens\nTcp: 1 {opened} 0\n"


class Counts:
    """A host whose counters go through the given steps: (alloc, inuse, inuse of TCP6, opened), the last stays."""

    proc, live = "/proc", False

    def __init__(self, *steps):
        self.steps = list(steps)

    def read(self, path):
        alloc, four, six, opened = self.steps[0]
        if path.endswith("snmp"):  # the last file of a reading
            self.steps = self.steps[1:] or self.steps
            return SNMP.format(opened=opened)
        if path.endswith("sockstat6"):
            return f"TCP6: inuse {six}\n"
        return f"sockets: used 9\nTCP: inuse {four} orphan 0 tw 0 alloc {alloc} mem 1\n"


@pytest.mark.parametrize(
    ("steps", "none"),
    [
        ([(5, 3, 2, 7)], True),
        ([(6, 3, 2, 7)], False),  # one is allocated and neither listens nor is connected
        (
            [(5, 3, 2, 7), (5, 3, 2, 8)],
            False,
        ),  # a connection came in between: it may have stood for the bound one
        ([(5, 3, 2, 7), (5, 2, 3, 7)], False),
        ([(5, 3, 2, 7), (6, 3, 3, 7)], False),
        ([(9000, 3, 2, 7)], False),
    ],
)
def test_none_merely_bound(steps, none):
    assert bound.none_merely_bound(Counts(*steps)) is none


@pytest.mark.parametrize("missing", ["sockstat", "sockstat6", "snmp"])
def test_what_cannot_be_read_proves_nothing(missing):
    class Blind(Counts):
        def read(self, path):
            if path.endswith("/" + missing):
                raise FileNotFoundError(path)
            return super().read(path)

    assert not bound.none_merely_bound(Blind((5, 3, 2, 7)))


def test_odd_counters_prove_nothing(monkeypatch):
    class Odd(Counts):
        def read(self, path):
            return "nothing of the kind\n"

    assert not bound.none_merely_bound(Odd((5, 3, 2, 7)))
