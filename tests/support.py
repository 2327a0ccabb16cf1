"""What several tests share."""

from __future__ import annotations

import os

import pytest

REQUIRED = os.environ.get("PORTSIDE_REQUIRE_LIVE", "") not in ("", "0")


def require(condition: object, reason: str) -> None:
    """Skip the test unless `condition` holds, naming what is missing; with PORTSIDE_REQUIRE_LIVE=1, fail it."""
    if condition:
        return
    if REQUIRED:
        pytest.fail(f"PORTSIDE_REQUIRE_LIVE is set, and {reason}")
    pytest.skip(reason)
