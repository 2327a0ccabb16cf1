"""Who holds a socket: several processes, odd names, other users, other namespaces, nobody at all for the moment."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time

from tests.live.cast.actor import (
    PR_SET_DUMPABLE,
    Actor,
    Missing,
    cookie,
    die_with_parent,
    libc,
    outer_pid,
    plain,
    set_name,
)
from tests.live.cast.inet import V4, V6, bound, listening

CLONE_FILES, CLONE_NEWNET, CLONE_NEWPID = 0x400, 0x40000000, 0x20000000  # include/uapi/linux/sched.h
SYS_EXIT = {"x86_64": 60, "aarch64": 93}
NOBODY, STRANGER = 65534, 4242
HOSTILE_NAMES = (
    b"a) b",
    b"a) S 1 (b",
    b"new\nline",
    b"\x1b[31mred",
    b"",
    "dö-端口".encode(),
    b"\xff\xfe\x80",
    b'quote",pid=1',
    b"tab\there",
)


def forked(actor: Actor) -> None:
    """One listener, held by its maker and two forked children."""
    sock = listening(V4, "0.0.0.0", 26001)
    stay = lambda _: None  # noqa: E731
    children = [actor.fork(stay), actor.fork(stay)]
    held = frozenset((pid, sock.fileno()) for pid in (os.getpid(), *children))
    actor.note("tcp listen, shared by fork", sock, "listen", holders=held)


def handed_down(actor: Actor) -> None:
    """A listener whose maker closed it: only the child holds it, as with a pre-forking server's master."""
    sock = listening(V4, "0.0.0.0", 26002)
    actor.fork(lambda child: child.note("tcp listen, maker closed it", sock, "listen"))
    sock.close()


def passed(actor: Actor) -> None:
    """SCM_RIGHTS to an unrelated process: once with both holding it, once with the receiver alone."""
    for port, what, keep in ((26003, "receiver alone", False), (26004, "both hold it", True)):
        ours, theirs = socket.socketpair()
        sock = listening(V4, "127.0.0.1", port)
        others = frozenset({(outer_pid(), sock.fileno())}) if keep else frozenset()
        socket.send_fds(ours, [b"x"], [sock.fileno()])
        actor.fork(_receive, theirs, ours, sock, f"tcp listen, passed: {what}", others)
        theirs.close()
        ours.close()
        if keep:
            actor.kept.append(sock)
        else:
            sock.close()


def _receive(
    actor: Actor,
    theirs: socket.socket,
    ours: socket.socket,
    inherited: socket.socket,
    what: str,
    others: frozenset[tuple[int, int]],
) -> None:
    ours.close()
    inherited.close()
    actor.kept.append(os.open(os.devnull, os.O_RDONLY))  # so that the number differs from the sender's
    _, received, _, _ = socket.recv_fds(theirs, 1, 1)
    theirs.close()
    sock = socket.socket(fileno=received[0])
    actor.note(what, sock, "listen", holders=others | {(outer_pid(), sock.fileno())})


def in_flight(actor: Actor) -> None:
    """A socket inside an unread message: open, listening, and in nobody's table of descriptors."""
    ours, theirs = socket.socketpair()
    sock = listening(V4, "127.0.0.1", 26005)
    socket.send_fds(ours, [b"x"], [sock.fileno()])
    facts = {
        "cookie": cookie(sock),
        "inode": os.fstat(sock.fileno()).st_ino,
        "local": plain(sock.getsockname()),
    }
    sock.close()
    actor.note("in flight: carrier, sender", ours, "established")
    actor.note("in flight: carrier, receiver", theirs, "established")
    actor.note(
        "tcp listen, in flight", None, "listen", family="inet", type="stream", protocol="tcp", uid=os.geteuid(),
        gap="in-flight|other-pid-namespace|gone|kernel", why="held by a message in a Unix socket", **facts,
    )  # fmt: skip


def reuseport(actor: Actor) -> None:
    """One port, three listeners, three processes (SO_REUSEPORT)."""
    for number in (1, 2, 3):
        actor.fork(_worker, number)


def _worker(actor: Actor, number: int) -> None:
    sock = socket.socket(V4, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("0.0.0.0", 26006))
    sock.listen(16)
    actor.note(f"tcp reuseport {number} of 3", sock, "listen", backlog=(0, 16))


def hostile_names(actor: Actor) -> None:
    """Processes whose names try to break whoever prints them."""
    for number, name in enumerate(HOSTILE_NAMES):
        actor.fork(_named, name, 26100 + number)


def _named(actor: Actor, name: bytes, port: int) -> None:
    set_name(name)
    actor.note(f"tcp listen, process named {name!r}", listening(V4, "127.0.0.1", port), "listen", comm=name)


def other_users(actor: Actor) -> None:
    """Sockets of other users: readable by that user, not even by them, and opened by root before it stepped down."""
    with open("/proc/self/uid_map") as file:
        everybody = file.read().split() == ["0", "0", "4294967295"]
    if not everybody:
        actor.missing("other users", "needs root: this user namespace has one user only")
        return
    actor.fork(_as_user, NOBODY, "another user", 26201)
    actor.fork(_as_user, NOBODY, "another user, not dumpable", 26202)
    actor.fork(_as_user, STRANGER, "a third user", 26203)
    actor.fork(_stepped_down)


def _step_down(uid: int, dumpable: bool) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    libc.prctl(PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)
    die_with_parent()


def _as_user(actor: Actor, uid: int, what: str, port: int) -> None:
    _step_down(uid, dumpable="not dumpable" not in what)
    actor.note(f"tcp listen, {what}", listening(V4, "0.0.0.0", port), "listen")
    if port == 26201:
        actor.note("udp, another user", bound(V4, socket.SOCK_DGRAM, "127.0.0.1", port), "unconnected")
        actor.note("unix, another user", _abstract(b"\0portside-nobody"), "listen")


def _abstract(name: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(name)
    sock.listen(1)
    return sock


def _stepped_down(actor: Actor) -> None:
    sock = listening(V4, "0.0.0.0", 26204)
    _step_down(NOBODY, dumpable=True)
    actor.note("tcp listen, opened by root, held by another user", sock, "listen", uid=0)


def other_pid_namespace(actor: Actor) -> None:
    """A process that calls itself 1; from outside it has another number."""
    actor.attempt("process in another pid namespace", _other_pid_namespace)


def _other_pid_namespace(actor: Actor) -> None:
    unshare(CLONE_NEWPID)
    actor.fork(
        lambda child: child.note("tcp listen, other pid namespace", listening(V4, "0.0.0.0", 26301), "listen")
    )


def other_network_namespace(actor: Actor) -> None:
    """A listener in a network namespace of its own: not in this one's tables."""
    unshare(CLONE_NEWNET)
    actor.note("tcp listen, other network namespace", listening(V4, "0.0.0.0", 26302), "listen")


def moved_away(actor: Actor) -> None:
    """A process that left the network namespace its socket lives in."""
    sock = listening(V4, "0.0.0.0", 26303)
    here = os.stat("/proc/self/ns/net").st_ino
    unshare(CLONE_NEWNET)
    actor.note("tcp listen, process moved away", sock, "listen", netns=here)


def own_table(actor: Actor) -> None:
    """A thread with a table of descriptors of its own (unshare(CLONE_FILES)): /proc/PID/fd does not show them."""
    ready = threading.Event()
    threading.Thread(target=_own_table, args=(actor, ready), daemon=True).start()
    if not ready.wait(2):
        raise Missing("the thread did not come up")


def _own_table(actor: Actor, ready: threading.Event) -> None:
    unshare(CLONE_FILES)
    sock = listening(V4, "0.0.0.0", 26304)
    actor.note("tcp listen, thread with its own table", sock, "listen", why="/proc/PID/task/TID/fd")
    ready.set()
    time.sleep(3600)


def leader_gone(actor: Actor) -> None:
    """The first thread has exited, another goes on: /proc/PID/fd of the zombie leader is empty."""
    number = SYS_EXIT.get(os.uname().machine)
    if number is None:
        actor.missing(
            "tcp listen, leader gone", f"the number of exit(2) on {os.uname().machine} is not known here"
        )
        return
    actor.fork(_leader_gone, number)


def _leader_gone(actor: Actor, number: int) -> None:
    done = threading.Event()

    def carry_on() -> None:
        die_with_parent()
        set_name(b"leader_gone")
        actor.note(
            "tcp listen, leader gone", listening(V4, "0.0.0.0", 26305), "listen", why="only a thread is left"
        )
        done.set()
        time.sleep(3600)

    threading.Thread(target=carry_on, daemon=True).start()
    if not done.wait(2):
        raise Missing("the thread did not come up")
    actor.ready()
    libc.syscall(ctypes.c_long(number), ctypes.c_long(0))


def both_families(actor: Actor) -> None:
    """One program on one port of both families, TCP and UDP: one row for a person."""
    actor.note("tcp pair v4", listening(V4, "0.0.0.0", 26400), "listen")
    actor.note("tcp pair v6", listening(V6, "::", 26400, v6only=True), "listen")
    actor.note("udp pair v4", bound(V4, socket.SOCK_DGRAM, "0.0.0.0", 26400), "unconnected")
    actor.note("udp pair v6", bound(V6, socket.SOCK_DGRAM, "::", 26400, v6only=True), "unconnected")


def unshare(flags: int) -> None:
    """unshare(2)."""
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


ROLES = (
    forked,
    handed_down,
    passed,
    in_flight,
    reuseport,
    hostile_names,
    other_users,
    other_pid_namespace,
    other_network_namespace,
    moved_away,
    own_table,
    leader_gone,
    both_families,
)
