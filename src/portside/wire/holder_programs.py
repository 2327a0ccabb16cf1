"""The two eBPF programs that tell who holds which socket, as values.

Both write one row for each descriptor that refers to a socket, `ROW`: inode, pid, descriptor.  The pid is the one in
the pid namespace of the process that reads, not the initial one's (`task_struct.tgid`).

`scan` (kernel 6.4+) is called once for each task and runs over its descriptor table itself, reading pointers without
taking references; rows go to a map.  A table may change or be freed meanwhile: loads from freed memory give
numbers, never faults, and a row counts only if task, table and file still belong together after all was read.
`walk` (5.10+) is called by the kernel for each descriptor, which costs it two atomic operations and a call.  Measured
with 100,100 sockets of 100 processes on 6.18: `walk` 42 ms; `scan` 1.5 ms for a few wanted inodes (5 ms with cold
caches), 10 ms when all rows are written.

A socket is told by its file system: inode -> super block -> SOCKFS_MAGIC (a Unix socket's name in a directory has
S_IFSOCK too, and another file system's number).  Wanted inodes become a tree of comparisons in the program.
Reference: kernel/bpf/task_iter.c, include/linux/fdtable.h, include/linux/pid.h, Documentation/bpf/kfuncs.rst.
"""

from __future__ import annotations

from struct import Struct

from portside.wire.bpf import (
    BPF_ADD,
    BPF_JEQ,
    BPF_JGE,
    BPF_JNE,
    BPF_LSH,
    BPF_MUL,
    BPF_SUB,
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R8,
    R9,
    R10,
    alu,
    alu_imm,
    call,
    call_kernel,
    exit_,
    jump,
    jump32_if_imm,
    jump_if,
    jump_if_imm,
    load,
    load_map_value,
    mov,
    mov_imm,
    store,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from portside.wire.bpf import Instruction

    Layout: TypeAlias = Mapping[str, int]
    Instructions: TypeAlias = list[Instruction | str]

ROW = Struct("=QII")  # inode, pid, descriptor
ROWS_AT = 16  # before the rows of a scan: u64 rows found (fitting or not), u64 tables too long to scan

SOCKFS_MAGIC = 0x534F434B  # include/uapi/linux/magic.h
PIDTYPE_TGID = 1  # include/linux/pid_types.h, since 4.19

# enum bpf_func_id, include/uapi/linux/bpf.h
GET_CURRENT_TASK, PROBE_READ_KERNEL, SEQ_WRITE = 35, 113, 127

# struct bpf_iter__task and bpf_iter__task_file, kernel/bpf/task_iter.c: fields of 8 bytes; bpf_iter_meta: seq first.
CONTEXT_META, CONTEXT_TASK, CONTEXT_FD, CONTEXT_FILE = 0, 8, 16, 24

# What the programs must know of the running kernel, in the words of portside.wire.btf.Btf.resolve.
_COMMON = (
    "file.f_inode",
    "inode.i_ino",
    "inode.i_sb",
    "super_block.s_magic",
    "task_struct.signal",
    "task_struct.thread_pid",
    "signal_struct.pids",
    "pid.level",
    "pid.numbers",
    "size:upid",
    "upid.nr",
)
WALK_NEEDS = ("func:bpf_iter_task_file", *_COMMON)
SCAN_NEEDS = (
    "func:bpf_iter_task",
    "func:bpf_iter_num_new",
    "func:bpf_iter_num_next",
    "func:bpf_iter_num_destroy",
    "func:bpf_rdonly_cast",
    "type:task_struct",
    "type:file",
    "type:upid",
    "type:hlist_head",
    "task_struct.files",
    "task_struct.group_leader",
    "task_struct.thread_node",
    "files_struct.fdt",
    "fdtable.fd",
    "fdtable.max_fds",
    *_COMMON,
)


def match(register: int, wanted: Sequence[int], hit: str, miss: str) -> Instructions:
    """Compare the low 32 bits of a register with sorted numbers, halving: log2(n) comparisons for n of them."""
    if len(wanted) <= 3:
        return [*(jump32_if_imm(BPF_JEQ, register, one, hit) for one in wanted), jump(miss)]
    half = len(wanted) // 2
    upper = f"from {wanted[half]}"
    return [
        jump32_if_imm(BPF_JGE, register, wanted[half], upper),
        *match(register, wanted[:half], hit, miss),
        upper,
        *match(register, wanted[half:], hit, miss),
    ]


# Frame of `scan`, below R10.
_ITERATOR, _PID, _FILES, _TASK = -8, -16, -24, -32


def scan(layout: Layout, map_descriptor: int, capacity: int, wanted: Sequence[int] | None) -> Instructions:
    """Program for target `task`: rows go to the value of an array map that holds `capacity` of them.

    Rows that do not fit are counted all the same.  `wanted` is sorted; `None` stands for every socket.
    """
    return [
        *_task_to_look_at(layout),
        *_reader_pid(layout),
        # R9 = the table of file pointers, scanned by an open-coded iterator (6.4) over 0 .. max_fds - 1
        load(R1, R7, layout["files_struct.fdt"]),
        load(R9, R1, layout["fdtable.fd"]),
        load(R3, R1, layout["fdtable.max_fds"], 4),
        *_iterator_argument(),
        mov_imm(R2, 0),
        call_kernel(layout["func:bpf_iter_num_new"]),
        jump_if_imm(BPF_JEQ, R0, 0, "next descriptor"),
        load_map_value(R2, map_descriptor, 8),
        mov_imm(R1, 1),
        store(R2, 0, R1),
        "next descriptor",
        *_iterator_argument(),
        call_kernel(layout["func:bpf_iter_num_next"]),
        jump_if_imm(BPF_JEQ, R0, 0, "table done"),
        load(R8, R0, 0, 4),
        *_file_at(layout),
        jump_if_imm(BPF_JEQ, R0, 0, "next descriptor"),
        mov(R7, R0),
        *_cast(layout, R7, "type:file"),
        load(R6, R0, layout["file.f_inode"]),
        *_only_wanted(layout, wanted),
        load(R1, R6, layout["inode.i_sb"]),
        load(R1, R1, layout["super_block.s_magic"]),
        jump_if_imm(BPF_JNE, R1, SOCKFS_MAGIC, "next descriptor"),
        load(R6, R6, layout["inode.i_ino"]),
        *_still_together(layout),
        *_write_to_map(map_descriptor, capacity),
        "table done",
        *_iterator_argument(),
        call_kernel(layout["func:bpf_iter_num_destroy"]),
        "out",
        mov_imm(R0, 0),
        exit_(),
    ]


def _task_to_look_at(layout: Layout) -> Instructions:
    """R6 = task, R7 = its files; leaves where a process's table was or will be seen through another of its threads.

    That other thread is the leader, or where it has exited (its files are gone) the first one left.  The cast
    (6.2) makes the task an untrusted pointer: loading a pointer through a trusted one has the verifier search all
    of the kernel's BTF, 0.8 ms each time.
    """
    return [
        load(R1, R1, CONTEXT_TASK),
        jump_if_imm(BPF_JEQ, R1, 0, "out"),
        *_cast(layout, R1, "type:task_struct"),
        mov(R6, R0),
        load(R7, R6, layout["task_struct.files"]),
        jump_if_imm(BPF_JEQ, R7, 0, "out"),
        load(R8, R6, layout["task_struct.group_leader"]),
        jump_if(BPF_JEQ, R8, R6, "look"),
        load(R1, R8, layout["task_struct.files"]),
        jump_if_imm(BPF_JNE, R1, 0, "another thread"),
        load(R1, R8, layout["task_struct.thread_node"]),
        alu_imm(BPF_SUB, R1, layout["task_struct.thread_node"]),
        *_cast(layout, R1, "type:task_struct"),
        jump_if(BPF_JEQ, R0, R6, "look"),
        load(R1, R0, layout["task_struct.files"]),
        "another thread",
        jump_if(BPF_JEQ, R1, R7, "out"),
        "look",
        store(R10, _TASK, R6),
        store(R10, _FILES, R7),
    ]


def _reader_pid(layout: Layout) -> Instructions:
    """Store the process's pid as the reader's pid namespace numbers it; leaves where the process is gone."""
    return [
        call(GET_CURRENT_TASK),
        *_cast(layout, R0, "type:task_struct"),
        load(R1, R0, layout["task_struct.thread_pid"]),
        load(R2, R1, layout["pid.level"], 4),
        alu_imm(BPF_MUL, R2, layout["size:upid"]),
        load(R1, R6, layout["task_struct.signal"]),
        load(R1, R1, layout["signal_struct.pids"] + 8 * PIDTYPE_TGID),
        jump_if_imm(BPF_JEQ, R1, 0, "out"),
        alu(BPF_ADD, R1, R2),
        alu_imm(BPF_ADD, R1, layout["pid.numbers"]),
        *_cast(layout, R1, "type:upid"),
        load(R1, R0, layout["upid.nr"], 4),
        jump_if_imm(BPF_JEQ, R1, 0, "out"),
        store(R10, _PID, R1),
    ]


def _only_wanted(layout: Layout, wanted: Sequence[int] | None) -> Instructions:
    """Go on only with a wanted inode (R6).  R1 is set so that the verifier sees one state, not one for each."""
    if wanted is None:
        return []
    return [
        load(R1, R6, layout["inode.i_ino"]),
        *match(R1, wanted, "wanted", "next descriptor"),
        "wanted",
        mov_imm(R1, 0),
    ]


def _still_together(layout: Layout) -> Instructions:
    """Go on only if the task still has these files, and the descriptor still refers to this file."""
    return [
        load(R1, R10, _TASK),
        load(R1, R1, layout["task_struct.files"]),
        load(R2, R10, _FILES),
        jump_if(BPF_JNE, R1, R2, "next descriptor"),
        *_file_at(layout),
        jump_if(BPF_JNE, R0, R7, "next descriptor"),
    ]


def _write_to_map(map_descriptor: int, capacity: int) -> Instructions:
    """Append the row (R6 inode, R8 descriptor); the count goes on where the map is full."""
    return [
        load_map_value(R2, map_descriptor),
        load(R1, R2, 0),
        mov(R3, R1),
        alu_imm(BPF_ADD, R3, 1),
        store(R2, 0, R3),
        jump_if_imm(BPF_JGE, R1, capacity, "next descriptor"),
        alu_imm(BPF_MUL, R1, ROW.size),
        alu(BPF_ADD, R2, R1),
        store(R2, ROWS_AT, R6),
        load(R3, R10, _PID),
        store(R2, ROWS_AT + 8, R3, 4),
        store(R2, ROWS_AT + 12, R8, 4),
        jump("next descriptor"),
    ]


def _file_at(layout: Layout) -> Instructions:
    """R0 = the file pointer in slot R8 of table R9; a pointer is read as the only member of a `hlist_head`."""
    return [
        mov(R1, R8),
        alu_imm(BPF_LSH, R1, 3),
        alu(BPF_ADD, R1, R9),
        *_cast(layout, R1, "type:hlist_head"),
        load(R0, R0, 0),
    ]


def _cast(layout: Layout, register: int, kind: str) -> Instructions:
    """R0 = the address as a typed pointer: loads through it are checked at run time and give 0 for a bad one."""
    move = [] if register == R1 else [mov(R1, register)]
    return [*move, mov_imm(R2, layout[kind]), call_kernel(layout["func:bpf_rdonly_cast"])]


def _iterator_argument() -> Instructions:
    return [mov(R1, R10), alu_imm(BPF_ADD, R1, _ITERATOR)]


# Frame of `walk`, below R10.
_ROW, _SCRATCH = -16, -24


def walk(layout: Layout, wanted: Sequence[int] | None) -> Instructions:
    """Program for target `task_file`: rows go to the iterator's own file.  `wanted` as for `scan`."""
    return [
        mov(R6, R1),
        load(R8, R6, CONTEXT_TASK),
        jump_if_imm(BPF_JEQ, R8, 0, "out"),
        load(R7, R6, CONTEXT_FILE),
        jump_if_imm(BPF_JEQ, R7, 0, "out"),
        load(R7, R7, layout["file.f_inode"]),
        load(R1, R7, layout["inode.i_sb"]),
        load(R1, R1, layout["super_block.s_magic"]),
        jump_if_imm(BPF_JNE, R1, SOCKFS_MAGIC, "out"),
        *_walk_only_wanted(layout, wanted),
        load(R1, R7, layout["inode.i_ino"]),
        store(R10, _ROW, R1),
        load(R1, R6, CONTEXT_FD, 4),
        store(R10, _ROW + 12, R1, 4),
        *_walk_reader_pid(layout),
        load(R1, R6, CONTEXT_META),
        load(R1, R1, 0),
        mov(R2, R10),
        alu_imm(BPF_ADD, R2, _ROW),
        mov_imm(R3, ROW.size),
        call(SEQ_WRITE),
        "out",
        mov_imm(R0, 0),
        exit_(),
    ]


def _walk_only_wanted(layout: Layout, wanted: Sequence[int] | None) -> Instructions:
    if wanted is None:
        return []
    return [load(R1, R7, layout["inode.i_ino"]), *match(R1, wanted, "wanted", "out"), "wanted"]


def _walk_reader_pid(layout: Layout) -> Instructions:
    """As `_reader_pid`, by a helper that any kernel has: current and numbers[] are no pointers the verifier types."""
    return [
        call(GET_CURRENT_TASK),
        *_read(R0, layout["task_struct.thread_pid"], _SCRATCH, 8),
        load(R1, R10, _SCRATCH),
        *_read(R1, layout["pid.level"], _SCRATCH, 4),
        load(R9, R10, _SCRATCH, 4),
        alu_imm(BPF_MUL, R9, layout["size:upid"]),
        load(R1, R8, layout["task_struct.signal"]),
        load(R1, R1, layout["signal_struct.pids"] + 8 * PIDTYPE_TGID),
        alu(BPF_ADD, R1, R9),
        *_read(R1, layout["pid.numbers"] + layout["upid.nr"], _ROW + 8, 4),
        load(R1, R10, _ROW + 8, 4),
        jump_if_imm(BPF_JEQ, R1, 0, "out"),
    ]


def _read(register: int, offset: int, frame: int, size: int) -> Instructions:
    """Copy kernel memory at register + offset to the frame; what cannot be read becomes 0."""
    return [
        mov(R3, register),
        alu_imm(BPF_ADD, R3, offset),
        mov(R1, R10),
        alu_imm(BPF_ADD, R1, frame),
        mov_imm(R2, size),
        call(PROBE_READ_KERNEL),
    ]
