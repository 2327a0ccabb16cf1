"""bpf(2): load an iterator program, run it once over the kernel's objects, take what it wrote, leave nothing behind.

A program of type TRACING attached to BPF_TRACE_ITER is called for each object of its target (`task`: each task;
`task_file`: each open descriptor).  It writes into the iterator's own file, or into a map made for it.  Every
descriptor is close-on-exec from birth (the kernel's doing) and closed before the answer is returned or the error
raised; with the last one closed the kernel frees program, link and map.
Reference: bpf(2), include/uapi/linux/bpf.h (union bpf_attr), kernel/bpf/bpf_iter.c (bpf_seq_read).
"""

from __future__ import annotations

import ctypes
import os
from errno import EACCES, EAGAIN, EPERM
from struct import pack

from portside.errors import BadReply, NotPermitted, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.errors import PortsideError

# include/uapi/linux/bpf.h: enum bpf_cmd, bpf_map_type, bpf_prog_type, bpf_attach_type.
BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_PROG_LOAD, BPF_LINK_CREATE, BPF_ITER_CREATE = 0, 1, 5, 28, 33
BPF_MAP_TYPE_ARRAY = 2
BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER = 26, 28

# The system call's number: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
SYSCALL_NUMBERS = {"x86_64": 321, "aarch64": 280}
_RESTRICTION = "/proc/sys/kernel/unprivileged_bpf_disabled"

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_ulong)

_LICENSE = ctypes.create_string_buffer(b"Dual MIT/GPL")
_RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000")
_LOG_SIZE = 1 << 20
_READ_SIZE = 1 << 16  # more than the 8 pages of the kernel's own buffer is never returned (4 KiB pages)
_TRIES = 1000


def bpf(command: int, attributes: bytes) -> tuple[int, int]:
    """Make the system call: its result, and errno where that is -1."""
    machine = os.uname().machine
    number = SYSCALL_NUMBERS.get(machine)
    if number is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise NotSupported("call", "bpf(2)", f"its number on a {machine!r} machine is not known")
    for _ in range(5):  # the verifier gives up with EAGAIN when a signal is pending
        result = int(_syscall(number, command, attributes, len(attributes)))
        if result >= 0 or ctypes.get_errno() != EAGAIN:
            break
    return result, ctypes.get_errno()


def check_permitted() -> None:
    """Raise NotPermitted if this process may not load such programs: cheaper than finding out after all the rest.

    The kernel looks at the rights before it looks at the program, which names no target and is refused anyhow.
    """
    _, number, _ = _try_load(_RETURN_0, 0, "portside", log_level=0)
    if number == EPERM:
        raise _refusal("load", "portside", number)


def run_iterator(code: bytes, attach_btf_id: int, name: str) -> list[bytes]:
    """Load a program, run it over every object of its target, and return what it wrote, in pieces.

    `attach_btf_id` is the BTF id of `bpf_iter_<target>`.  Raises NotPermitted, NotSupported, or BadReply where the
    output could not be read to its end.
    """
    program = _load(code, attach_btf_id, name)
    try:
        link = _descriptor("attach", name, BPF_LINK_CREATE, pack("=4I", program, 0, BPF_TRACE_ITER, 0))
    finally:
        os.close(program)
    try:
        iterator = _descriptor("open", name, BPF_ITER_CREATE, pack("=2I", link, 0))
    finally:
        os.close(link)
    try:
        return _read_all(iterator, name)
    finally:
        os.close(iterator)


def create_array(value_size: int, name: str) -> int:
    """Make an array map with one value, all zero, and return its descriptor, which the caller closes."""
    attributes = pack("=7I16s", BPF_MAP_TYPE_ARRAY, 4, value_size, 1, 0, 0, 0, name.encode()[:15])
    return _descriptor("make a map for", name, BPF_MAP_CREATE, attributes)


def read_array(descriptor: int, value_size: int, name: str) -> bytearray:
    """Copy the value of such a map."""
    value = bytearray((value_size + 7) // 8 * 8)  # the kernel rounds values up
    target = (ctypes.c_char * len(value)).from_buffer(value)
    key = ctypes.c_uint32(0)
    attributes = pack("=IIQQQ", descriptor, 0, ctypes.addressof(key), ctypes.addressof(target), 0)
    result, number = bpf(BPF_MAP_LOOKUP_ELEM, attributes)
    if result < 0:
        raise BadReply("read", f"bpf map {name!r}", os.strerror(number), errno=number)
    return value


def verifier_log(code: bytes, attach_btf_id: int, name: str = "portside") -> str:
    """Load a program for the verifier's log alone; that of an accepted program says how it was understood."""
    return _try_load(code, attach_btf_id, name, log_level=1)[2]


def _load(code: bytes, attach_btf_id: int, name: str) -> int:
    """Load a program; the log, which costs much more than the loading, is asked for only after a refusal."""
    descriptor, number, _ = _try_load(code, attach_btf_id, name, log_level=0)
    if descriptor >= 0:
        return descriptor
    log = "" if number == EPERM else verifier_log(code, attach_btf_id, name)
    raise _refusal("load", name, number, log)


def _try_load(code: bytes, attach_btf_id: int, name: str, log_level: int) -> tuple[int, int, str]:
    """BPF_PROG_LOAD: the descriptor or -1, errno, the log.  A program loaded for its log is not kept."""
    log = ctypes.create_string_buffer(_LOG_SIZE if log_level else 1)
    instructions = ctypes.create_string_buffer(code, len(code))
    attributes = pack(
        "=IIQQIIQII16sII36xI",  # 36 bytes: a BTF of its own, with function and line information
        BPF_PROG_TYPE_TRACING,
        len(code) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(_LICENSE),
        log_level,
        len(log) if log_level else 0,
        ctypes.addressof(log) if log_level else 0,
        0,  # kern_version
        0,  # prog_flags
        name.encode()[:15],
        0,  # prog_ifindex
        BPF_TRACE_ITER,
        attach_btf_id,
    )
    descriptor, number = bpf(BPF_PROG_LOAD, attributes)
    if log_level and descriptor >= 0:
        os.close(descriptor)
    return descriptor, number, log.value.decode("utf-8", "replace")


def _descriptor(operation: str, name: str, command: int, attributes: bytes) -> int:
    descriptor, number = bpf(command, attributes)
    if descriptor < 0:
        raise _refusal(operation, name, number)
    return descriptor


def _read_all(iterator: int, name: str) -> list[bytes]:
    """Read an iterator to its end.  EAGAIN: a million objects gave no row yet, there are more."""
    chunks: list[bytes] = []
    for _ in range(_TRIES):
        try:
            while chunk := os.read(iterator, _READ_SIZE):
                chunks.append(chunk)
            return chunks
        except BlockingIOError:
            continue
        except OSError as error:
            raise BadReply(
                "read", f"bpf iterator {name!r}", error.strerror or "", errno=error.errno
            ) from None
    raise BadReply("read", f"bpf iterator {name!r}", "it does not end")


def _refusal(operation: str, name: str, number: int, log: str = "") -> PortsideError:
    """The error for a refused call.  EACCES with a log is the verifier's word on the program, not on the user."""
    subject = f"bpf program {name!r}"
    if number == EPERM or (number == EACCES and not log):
        reason = f"needs CAP_BPF and CAP_PERFMON ({_restriction()})"
        return NotPermitted(operation, subject, reason, "run portside with sudo", errno=number)
    reason = os.strerror(number).lower()
    return NotSupported(operation, subject, reason, errno=number, extack=_last_word(log))


def _restriction() -> str:
    try:
        with open(_RESTRICTION, "rb", buffering=0) as setting:
            return f"kernel.unprivileged_bpf_disabled is {setting.read().decode().strip()}"
    except OSError:
        return "kernel.unprivileged_bpf_disabled cannot be read"


def _last_word(log: str) -> str | None:
    """The verifier's reason: the last line that is no statistics."""
    statistics = ("processed ", "verification time", "stack depth")
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith(statistics)]
    return lines[-1] if lines else None
