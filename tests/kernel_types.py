"""The running kernel's own types, for tests that hold our declarations against them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.support import require

from portside.wire.btf import Btf

VMLINUX = Path("/sys/kernel/btf/vmlinux")


def kernel_btf() -> Btf:
    """Return the kernel's BTF: `struct_size(name)`, `member_offset(struct, path)`, `enum_value(name)`, ..."""
    require(VMLINUX.exists(), f"this kernel has no BTF ({VMLINUX})")
    return _read()


@cache
def _read() -> Btf:
    return Btf(VMLINUX.read_bytes())
