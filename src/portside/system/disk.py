"""syncfs(2), which Python's os lacks: everything written to one file system is on its disk afterwards."""

from __future__ import annotations

import os


def sync_file_system(descriptor: int) -> None:
    """Write out the file system that a descriptor is on; raises OSError, with an error of writing since 5.8."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # not Linux
        os.sync()
    elif libc.syncfs(descriptor) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
