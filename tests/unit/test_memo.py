"""What is made once: a key's text is asked for a second time without a second call."""

from __future__ import annotations

from portside.memo import Memo


def test_each_key_is_made_once():
    asked = []
    squares = Memo(lambda number: asked.append(number) or number * number)
    assert [squares[3], squares[4], squares[3]] == [9, 16, 9]
    assert asked == [3, 4]
