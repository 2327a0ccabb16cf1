"""The session's state machine: what an end of file leads to, for every rule a netcat has, and when time runs out."""

import pytest

from portside.use.relay.rules import (
    BROKEN,
    ENDED,
    FIRST,
    IDLE,
    LINGERED,
    QUIET,
    SECOND,
    AtEof,
    Rules,
    Session,
)

TOLD = AtEof()


def session(first=TOLD, second=TOLD, **rules):
    return Session(Rules((first, second), **rules), 100.0)


def test_half_close_is_kept():
    made = session()
    assert made.ended(FIRST, 101)
    assert (made.runs(FIRST), made.runs(SECOND), made.over) == (False, True, "")
    assert made.ended(SECOND, 102)
    assert made.over == ENDED


def test_the_other_end_need_not_be_told():
    assert not session(AtEof(tell=False)).ended(FIRST, 101)


def test_a_direction_ends_once():
    made = session()
    assert made.ended(FIRST, 101)
    assert not made.ended(FIRST, 102)
    assert not made.over


def test_over_at_once():
    made = session(second=AtEof(then=0))
    assert made.ended(SECOND, 101)
    made.expire(101)
    assert made.over == LINGERED


def test_over_once_what_was_read_is_delivered():
    made = session(second=AtEof(then=0))
    made.holding = True
    made.ended(SECOND, 101)
    made.expire(150)
    assert not made.over
    made.holding = False
    made.expire(150)
    assert made.over == LINGERED


def test_over_once_a_drained_source_is_quiet():
    made = session(second=AtEof(then=0, drains=True))
    made.ended(SECOND, 101)
    made.moved(101.05)
    made.expire(101.05 + QUIET - 0.01)
    assert not made.over
    made.expire(101.05 + QUIET)
    assert made.over == LINGERED


def test_over_after_a_while():
    made = session(AtEof(then=2.0))
    made.ended(FIRST, 101)
    assert made.deadline() == 103
    made.expire(102.9)
    assert not made.over
    made.expire(103)
    assert made.over == LINGERED
    assert made.deadline() is None


def test_the_sooner_of_two_ends_counts():
    made = session(AtEof(then=9.0), AtEof(then=1.0), carries=(True, True))
    made.ended(FIRST, 101)
    assert made.deadline() == 110


def test_idle_time_starts_anew_with_each_move():
    made = session(idle=5.0)
    made.expire(104)
    made.moved(104)
    assert made.deadline() == 109
    made.expire(108)
    assert not made.over
    made.expire(109)
    assert made.over == IDLE


@pytest.mark.parametrize("carries", [(True, False), (False, True)])
def test_one_way(carries):
    made = session(carries=carries)
    way = carries.index(True)
    assert made.runs(way)
    assert not made.runs(1 - way)
    made.ended(way, 101)
    assert made.over == ENDED


def test_no_way_at_all():
    assert session(carries=(False, False)).over == ENDED


def test_what_is_refused_one_way_leaves_the_other():
    made = session()
    made.refused(FIRST, BrokenPipeError())
    assert made.runs(SECOND)
    made.ended(SECOND, 102)
    assert made.over == ENDED
    assert len(made.failures) == 1


def test_a_broken_end_ends_both_ways():
    made = session()
    made.broke(ConnectionResetError())
    assert made.over == BROKEN
    assert not made.runs(FIRST)
