"""A file that cannot be written: the reason is the writing's, whatever becomes of the draft beside it."""

from __future__ import annotations

import os

import pytest

from portside.errors import NotPermitted
from portside.system import files


def test_the_reason_told_is_the_first(tmp_path, monkeypatch):
    """In a directory that may not be entered neither writing nor cleaning up succeeds."""

    def refuse(*_args, **_more):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("os.open", refuse)
    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(NotPermitted, match=r"write '.*/file': permission denied; run it with sudo"):
        files.replace(str(tmp_path / "file"), "text")
