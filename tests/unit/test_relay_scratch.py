"""Relays run in threads side by side, each on a loop of its own: no two loops may read into the same buffer."""

from __future__ import annotations

from portside.use.relay.driver import Driver


def test_each_loop_has_a_buffer_of_its_own():
    with Driver() as one, Driver() as other:
        one.scratch[:4] = b"ours"
        other.scratch[:4] = b"mine"
        assert bytes(one.scratch[:4]) == b"ours"
