"""Functions of the C library that Python 3.11 does not offer."""

from __future__ import annotations

import os

CLONE_NEWUSER = 0x10000000  # include/uapi/linux/sched.h
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
PR_SET_DUMPABLE = 4


def call(name: str, *arguments: int) -> None:
    """Call a function that returns 0 when it has done it; raises OSError with its errno."""
    import ctypes

    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into a namespace (setns(2)): os.setns came with Python 3.12."""
    if hasattr(os, "setns"):
        os.setns(descriptor, kind)
    else:
        call("setns", descriptor, kind)
