"""How many at once, how long to wait, how fast: over a clock that the test holds."""

from __future__ import annotations

from portside.probe.pace import LEAST_WAIT, LEAST_WINDOW, Pace, Waits, Window

HOST, OTHER = b"\x0a\0\0\1", b"\x0a\0\0\2"


def test_window_grows_with_answers_and_halves_on_loss():
    window = Window(4096)
    first = window.size
    for _ in range(1000):
        window.grow()
    assert window.size == first + 1000
    assert window.shrink(10.0, 0.2)
    halved = window.size
    assert halved == (first + 1000) / 2
    assert not window.shrink(10.1, 0.2), "one event is seen by many probes"
    window.grow()
    assert halved < window.size < halved + 0.01, "slowly from then on"
    for second in range(20):
        window.shrink(20.0 + second, 0.2)
    assert window.size == LEAST_WINDOW


def test_window_keeps_to_its_most():
    window = Window(2)
    for _ in range(100):
        window.grow()
    assert window.size == 2
    window.shrink(1.0, 0.1)
    assert window.size == 2


def test_waits_of_a_silent_host_end_with_the_longest():
    waits = Waits(2.0)
    assert [waits.wait(HOST, attempt, 3) for attempt in range(3)] == [0.5, 1.0, 2.0]
    assert waits.wait(HOST, 0, 1) == 2.0


def test_waits_follow_each_host():
    waits = Waits(2.0)
    for _ in range(20):
        waits.learn(HOST, 0.001)
        waits.learn(OTHER, 0.5)
    assert waits.wait(HOST, 0, 3) == LEAST_WAIT
    assert waits.wait(HOST, 2, 3) == 4 * LEAST_WAIT
    assert 0.5 < waits.wait(OTHER, 0, 3) < 0.8
    assert waits.wait(OTHER, 2, 3) == 2.0


def test_waits_are_bounded():
    waits = Waits(1.0)
    for number in range(70_000):
        waits.learn(number.to_bytes(4, "big"), 0.1)
    assert len(waits._hosts) <= 1 << 16


def test_pace_holds_its_rate():
    pace, now, sent = Pace(100.0, 0.0), 0.0, 0
    while now < 10.0:
        if now >= pace.due:
            pace.sent(now)
            sent += 1
        now += 0.001
    assert 990 <= sent <= 1003


def test_pace_does_not_make_up_for_a_pause():
    pace = Pace(100.0, 0.0)
    pace.sent(0.0)
    burst = 0
    while pace.due <= 60.0:
        pace.sent(60.0)
        burst += 1
    assert burst <= 3


def test_no_pace():
    pace = Pace(0.0, 5.0)
    for _ in range(10):
        pace.sent(5.0)
    assert pace.due == 5.0
