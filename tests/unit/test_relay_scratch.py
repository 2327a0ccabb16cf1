"""Relays in several threads do not read into one another's buffer."""

import threading

from portside.use.relay.flows import scratch


def test_each_thread_has_its_own_buffer():
    found = [scratch(), scratch()]
    thread = threading.Thread(target=lambda: found.append(scratch()))
    thread.start()
    thread.join()
    assert found[0].obj is found[1].obj
    assert found[0].obj is not found[2].obj
