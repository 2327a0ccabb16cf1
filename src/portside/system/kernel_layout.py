"""Numbers of the running kernel's types (offsets, sizes, ids), read from its BTF once and kept for the next run.

Finding them costs some 30 ms, the kept ones 0.1 ms.  They are kept in one small text file: root's in
/var/cache/portside, any other user's in $XDG_CACHE_HOME/portside (~/.cache/portside).  It is safe to delete.

The file is believed only if nobody but its reader or root could have written it (owner and mode of directory and
file, no symbolic link), if its checksum holds, and if it was made by this kernel: the same release, build, build id
(/sys/kernel/notes) and size of BTF.  Anything else is as if there were none, and not being able to write one is no
error.  Whoever uses the numbers checks what comes out all the same: see portside.system.taskfiles.
Reference: Documentation/bpf/btf.rst, XDG Base Directory Specification.
"""

from __future__ import annotations

import os
from stat import S_ISREG

from portside.errors import NotPermitted, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BTF = "/sys/kernel/btf/vmlinux"
NOTES = "/sys/kernel/notes"

_FORM = "portside kernel layout 1"
_FILE = "kernel-layout"
_ABSENT = -1  # the kernel has no such type, member or function
_LARGEST = 1 << 28
_LONGEST = 1 << 16
_SAFE_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


def kept(names: Sequence[str], directory: str | None = None) -> dict[str, int] | None:
    """Return the kept numbers of exactly these names, or `None` where there are none to be trusted.

    Names are those of `portside.wire.btf.Btf.resolve`; what the kernel does not have is left out.
    """
    try:
        with _Directory(directory) as opened:
            return _parse(opened.read(), names)
    except OSError:
        return None


def read(names: Sequence[str], directory: str | None = None) -> dict[str, int]:
    """Find the numbers in the kernel's BTF and keep them.  What the kernel does not have is left out."""
    from portside.wire.btf import Btf  # a run that finds kept numbers does without

    btf = Btf(_blob())
    found = {}
    for name in names:
        try:
            found[name] = btf.resolve(name)
        except NotSupported:
            continue
    try:
        with _Directory(directory, make=True) as opened:
            opened.write(_text(names, found))
    except OSError:
        pass
    return found


def _blob() -> bytes:
    try:
        with open(BTF, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        raise NotSupported("read", repr(BTF), "this kernel was built without BTF") from None
    except PermissionError as error:
        hint = "run portside with sudo"
        raise NotPermitted("read", repr(BTF), "permission denied", hint, errno=error.errno) from None
    except OSError as error:
        raise NotSupported("read", repr(BTF), error.strerror or "", errno=error.errno) from None


def _identity() -> str:
    """What the numbers belong to: this build of the kernel."""
    system = os.uname()
    try:
        with open(NOTES, "rb", buffering=0) as file:
            notes = file.read().hex()
    except OSError:
        notes = ""
    return f"{system.release} {system.version} {system.machine} {os.stat(BTF).st_size} {notes}"


def _text(names: Sequence[str], found: dict[str, int]) -> bytes:
    lines = [f"kernel {_identity()}", *(f"{name} {found.get(name, _ABSENT)}" for name in names)]
    body = "\n".join(lines).encode()
    return f"{_FORM} {_checksum(body):x}\n".encode() + body


def _parse(text: bytes, names: Sequence[str]) -> dict[str, int] | None:
    head, _, body = text.partition(b"\n")
    if head != f"{_FORM} {_checksum(body):x}".encode():
        return None
    kernel, *lines = body.decode("utf-8", "replace").split("\n")
    if kernel != f"kernel {_identity()}":
        return None
    pairs = [line.rpartition(" ")[::2] for line in lines]
    if [name for name, _ in pairs] != list(names):
        return None
    try:
        found = {name: int(number) for name, number in pairs}
    except ValueError:
        return None
    if not all(_ABSENT <= number < _LARGEST for number in found.values()):
        return None
    return {name: number for name, number in found.items() if number != _ABSENT}


def _checksum(body: bytes) -> int:
    """The bytes as one number, modulo a prime: no import, and no single damage goes unseen."""
    return int.from_bytes(body, "little") % ((1 << 61) - 1)


class _Directory:
    """The directory of the kept file, opened without following a link and found to be ours or root's alone."""

    def __init__(self, path: str | None, make: bool = False) -> None:
        path = path or _default_directory()
        if make:
            os.makedirs(path, 0o700, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFE_OPEN)
        try:
            _check_ours(os.fstat(self._descriptor))
        except OSError:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> _Directory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> bytes:
        file = os.open(_FILE, os.O_RDONLY | os.O_NONBLOCK | _SAFE_OPEN, dir_fd=self._descriptor)
        try:
            status = os.fstat(file)
            _check_ours(status)
            if not S_ISREG(status.st_mode) or status.st_size > _LONGEST:
                raise OSError("no file of ours")
            return os.read(file, _LONGEST)
        finally:
            os.close(file)

    def write(self, text: bytes) -> None:
        """Replace the file in one step; a reader sees the old one or the new one."""
        scratch = f".{_FILE}.{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_OPEN
        file = os.open(scratch, flags, 0o600, dir_fd=self._descriptor)
        try:
            try:
                if os.write(file, text) != len(text):
                    raise OSError("written in part")
            finally:
                os.close(file)
            os.rename(scratch, _FILE, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError:
            os.unlink(scratch, dir_fd=self._descriptor)
            raise


def _check_ours(status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise OSError("others may write it")


def _default_directory() -> str:
    """root's does not depend on the environment, which sudo may have kept from another user."""
    if os.geteuid() == 0:
        return "/var/cache/portside"
    for variable, below in (("XDG_CACHE_HOME", "/portside"), ("HOME", "/.cache/portside")):
        base = os.environ.get(variable, "")
        if base.startswith("/"):
            return base + below
    raise OSError("no home directory")
