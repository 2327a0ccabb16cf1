"""For programs that a service manager starts: the sockets it passed, and telling it how they are.

`listen_fds` is sd_listen_fds_with_names(3), `notify` is sd_notify(3), without libsystemd: the protocols are a few
environment variables and a datagram.  Both do nothing where no manager asks, so a program works by hand as well.

What is passed is taken once: the variables leave the environment, so that no child takes the sockets for its own, and
the descriptors are closed on exec.  A listening socket is shared with the manager: close it, never shut it down.
"""

from __future__ import annotations

import os
import socket
import time

from portside.errors import BadReply, NotSupported, TimedOut
from portside.record import Record

FIRST = 3  # SD_LISTEN_FDS_START
_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Passed(Record):
    """A descriptor that the manager passed: its number, and its name (FileDescriptorName=, else the unit's)."""

    descriptor: int
    name: str = ""

    def socket(self) -> socket.socket:
        """Return it as a socket, of the family and type it has; raises NotSupported where it is none (a FIFO)."""
        try:
            return socket.socket(fileno=self.descriptor)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise NotSupported("use", f"descriptor {self.descriptor}", reason, errno=error.errno) from error


def listen_fds() -> list[Passed]:
    """Return what the manager passed to this very process, in its order; empty where it passed nothing.

    A second call returns nothing.  Raises BadReply where the variables are not of their form.
    """
    told = {name: os.environ.pop(name, "") for name in _VARIABLES}
    if told["LISTEN_PID"] != str(os.getpid()) or not _is_this_process(told["LISTEN_PIDFDID"]):
        return []
    count = told["LISTEN_FDS"]
    if not (count.isascii() and count.isdecimal() and len(count) < 6):
        raise BadReply("read", "LISTEN_FDS", f"'{count[:20]}' is no number of descriptors")
    names = told["LISTEN_FDNAMES"].split(":") if told["LISTEN_FDNAMES"] else []
    if names and len(names) != int(count):
        raise BadReply("read", "LISTEN_FDNAMES", f"{len(names)} names for {count} descriptors")
    found = [Passed(FIRST + place, names[place] if names else "") for place in range(int(count))]
    for one in found:
        try:
            os.set_inheritable(one.descriptor, False)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise BadReply("read", "LISTEN_FDS", f"descriptor {one.descriptor}: {reason}") from error
    return found


def _is_this_process(number: str) -> bool:
    """Whether LISTEN_PIDFDID (systemd 258) means us: unlike a pid it is never given again (pidfs, 6.9)."""
    if not number:
        return True
    try:
        descriptor = os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return True
    try:
        return number == str(os.fstat(descriptor).st_ino)
    finally:
        os.close(descriptor)


def notify(state: str = "READY=1", *, barrier: float = 0) -> bool:
    """Tell the manager this process's state (`READY=1`, `STATUS=...`, `STOPPING=1`, `WATCHDOG=1`; one on each line).

    Returns False where no manager asked (NOTIFY_SOCKET is not set).  `RELOADING=1` gets the time it must have beside
    it.  With `barrier`, waits that many seconds until the manager has read it, as a process must that ends at once.
    Raises NotSupported where it cannot be told, TimedOut where it was not read in time.
    """
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return False
    if "RELOADING=1" in state.split("\n") and "MONOTONIC_USEC=" not in state:
        state += f"\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
    _send(place, state.encode("utf-8", "surrogateescape"))
    if barrier:
        _wait_until_read(place, barrier)
    return True


def _send(place: str, message: bytes, descriptors: tuple[int, ...] = ()) -> None:
    if not place.startswith(("/", "@")):
        raise NotSupported("notify", f"'{place}'", "it is not a Unix socket", "unset NOTIFY_SOCKET")
    address = "\0" + place[1:] if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        try:
            link.connect(address)
            socket.send_fds(link, [message], list(descriptors))
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise NotSupported("notify", f"'{place}'", reason, errno=error.errno) from error


def _wait_until_read(place: str, seconds: float) -> None:
    """Send the one end of a pipe, and wait until the manager closes it (sd_notify_barrier(3))."""
    import select

    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        _send(place, b"BARRIER=1", (writer,))
        os.close(writer)
        writer = -1
        poll = select.poll()
        poll.register(reader, 0)  # POLLHUP comes unasked
        if not poll.poll(seconds * 1000):
            raise TimedOut("notify", f"'{place}'", f"the manager has not read it in {seconds:g} s")
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
