"""A whole dump in one buffer, whatever the kernel does on the way: each case is a script of datagrams."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from portside.errors import BadReply, NotPermitted, NotSupported, PortsideError, TimedOut, Vanished
from portside.system import netlink as system
from portside.system.netlink import Netlink
from portside.testing import fakekernel
from portside.testing.fakekernel import FakeKernel, FakeSocket
from portside.wire import inet_diag, netlink

REQUEST = inet_diag.request(inet_diag.AF_INET, inet_diag.IPPROTO_TCP, 1 << 10)
INTR = netlink.NLM_F_DUMP_INTR | netlink.NLM_F_MULTI


def listener(number: int, seq: int, extra: bytes = b"") -> bytes:
    return FakeSocket("tcp", "listen", ("127.0.0.1", number), inode=number, extra=extra).message(seq)


def flagged(message: bytes, flags: int = INTR) -> bytes:
    return message[:6] + struct.pack("=H", flags) + message[8:]


def dump(*scripts):
    """Answer the first request with the first script, and so on; the last one goes on for ever.

    A script is a function from the request's sequence number to datagrams.
    """
    kernel = FakeKernel(
        replies=lambda request: scripts[min(len(kernel.requests), len(scripts)) - 1](seq(request))
    )
    try:
        with Netlink(opener=kernel.open) as link:
            return link.dump(REQUEST, "tcp sockets"), kernel
    finally:
        assert all(transport.closed for transport in kernel.transports)


def seq(request: bytes) -> int:
    return netlink.HEADER.read(request)[3]


def inodes(data: bytearray) -> list[int]:
    return inet_diag.column(data, inet_diag.INODE_WORD)


@pytest.mark.parametrize(
    "script",
    [
        lambda n: [listener(1, n) + listener(2, n), listener(3, n), fakekernel.done(n)],
        lambda n: [listener(1, n), listener(2, n) + listener(3, n) + fakekernel.done(n)],
        lambda n: [listener(1, n), listener(2, n, b"\0" * 8), listener(3, n) + fakekernel.done(n)],
        lambda n: [b"".join(listener(i, n) for i in (1, 2, 3)) + fakekernel.done(n) + listener(4, n)],
    ],
    ids=["end alone", "end behind data", "lengths differ", "end in the middle"],
)
def test_a_dump_is_whole_messages_without_the_end(script):
    data, kernel = dump(script)
    assert inodes(data) == [1, 2, 3]
    assert len(kernel.requests) == 1


def test_an_empty_dump():
    assert dump(lambda n: [fakekernel.done(n)])[0] == b""


def test_a_large_dump_grows_the_buffer():
    data, _ = dump(
        lambda n: fakekernel.multipart([listener(i, n) for i in range(1, 12_001)], n, per_datagram=300)
    )
    assert inodes(data) == list(range(1, 12_001))


def test_bytes_of_a_user_that_look_like_an_answer_do_not_hide_the_end():
    """A Unix path may be any bytes: here a header, where an answer as long as the first would be the last one."""

    def script(n):
        first, end = listener(1, n), fakekernel.done(n)
        chosen = bytes(84) + first[:16] + bytes(len(first) - 16 - len(end))
        datagram = first + listener(2, n, netlink.attribute(200, chosen)) + end
        assert len(datagram) % len(first) == 0
        assert datagram[-len(first) :][:16] == first[:16]
        return [datagram]

    assert inodes(dump(script)[0]) == [1, 2]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPERM, NotPermitted),
        (errno.EACCES, NotPermitted),
        (errno.ENOENT, NotSupported),
        (errno.EOPNOTSUPP, NotSupported),
        (errno.EINVAL, NotSupported),
        (errno.ESTALE, Vanished),
        (errno.ENOMEM, BadReply),
    ],
)
@pytest.mark.parametrize("text", ["", "not for you"])
def test_what_the_kernel_refuses_with_is_kept(number, kind, text):
    with pytest.raises(kind) as caught:
        dump(lambda n: [fakekernel.error(n, number, text)])
    assert (caught.value.errno, caught.value.extack) == (number, text or None)
    assert str(caught.value).startswith("read tcp sockets: ")
    assert ("(the kernel adds: not for you)" in str(caught.value)) == bool(text)


def test_a_dump_may_fail_in_its_end():
    with pytest.raises(NotPermitted):
        dump(lambda n: [listener(1, n), fakekernel.done(n, errno.EPERM)])


def test_an_ack_is_success_and_an_error_is_raised_by_call():
    kernel = FakeKernel(replies=lambda request: [fakekernel.error(seq(request), 0)])
    with Netlink(opener=kernel.open) as link:
        link.call(REQUEST, "no socket")
    kernel = FakeKernel(replies=lambda request: [fakekernel.error(seq(request), errno.EPERM, "no")])
    with Netlink(opener=kernel.open) as link, pytest.raises(NotPermitted) as caught:
        link.call(REQUEST, "no socket")
    assert caught.value.extack == "no"
    assert str(caught.value).startswith("change no socket: ")
    kernel = FakeKernel(replies=lambda request: [fakekernel.error(seq(request), errno.ENOENT)])
    with Netlink(opener=kernel.open) as link, pytest.raises(Vanished, match="there is none such"):
        link.call(REQUEST, "no socket")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNREFUSED])
def test_an_error_of_the_socket_is_ours(number):
    with pytest.raises(PortsideError) as caught:
        dump(lambda n: [OSError(number, os.strerror(number))])
    assert caught.value.errno == number


# Asked again, on a new socket or the same, but not for ever.

LOST = OSError(errno.ENOBUFS, "no buffer space")


def test_lost_answers_are_asked_for_again_on_a_new_socket():
    """The broken dump still runs on the old one, where the kernel would answer a second with EBUSY."""
    data, kernel = dump(lambda n: [listener(1, n), LOST], lambda n: [listener(2, n), fakekernel.done(n)])
    assert inodes(data) == [2]
    assert len(kernel.transports) == 2
    assert kernel.transports[0].closed


def test_losing_answers_every_time_ends():
    with pytest.raises(BadReply, match="interrupted 4 times; try again"):
        dump(lambda n: [LOST])


@pytest.mark.parametrize(
    "marked",
    [
        lambda n: [flagged(listener(1, n)) + listener(2, n), fakekernel.done(n)],
        lambda n: [listener(1, n) + flagged(listener(2, n)) + listener(3, n), fakekernel.done(n)],
        lambda n: [flagged(listener(1, n)), listener(2, n, b"\0" * 8) + fakekernel.done(n)],
        lambda n: [listener(1, n) + flagged(listener(2, n, b"\0" * 8)), listener(3, n), fakekernel.done(n)],
        lambda n: [listener(1, n), fakekernel.done(n, flags=INTR)],
    ],
    ids=["first", "in the middle", "whole datagram", "lengths differ", "end"],
)
def test_an_interrupted_dump_is_read_to_its_end_and_asked_for_again(marked):
    data, kernel = dump(marked, lambda n: [listener(9, n), fakekernel.done(n)])
    assert inodes(data) == [9]
    assert len(kernel.requests) == 2


def test_interrupted_every_time_ends():
    with pytest.raises(BadReply, match="interrupted 4 times"):
        dump(lambda n: [flagged(listener(1, n)), fakekernel.done(n)])


def test_late_answers_to_another_request_are_passed_over():
    data, _ = dump(lambda n: [listener(7, n - 1), fakekernel.done(n - 1), listener(1, n), fakekernel.done(n)])
    assert inodes(data) == [1]


# What no kernel sends.


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (lambda n: [bytes(8)], "a message of 8 bytes"),
        (lambda n: [b""], "a message of 0 bytes"),
        (lambda n: [listener(1, n, bytes(1 << 19))], "bytes came, 65536 were expected"),
        (lambda n: [listener(1, n)[:-4]], "it claims"),
        (lambda n: [listener(1, n) + b"\1"], "1 are left"),
        (lambda n: [struct.pack("=IHHII", 4, 20, 2, n, 0)], "it claims 4 bytes"),
        (lambda n: [struct.pack("=IHHII", 1 << 31, 20, 2, n, 0)], "it claims"),
        (lambda n: [netlink.message(netlink.NLMSG_OVERRUN, 0, b"", seq=n)], "NLMSG_OVERRUN"),
        (lambda n: [netlink.message(netlink.NLMSG_ERROR, 0, b"\1", seq=n)], "4 bytes expected, 1 received"),
        (lambda n: [netlink.message(netlink.NLMSG_ERROR, netlink.NLM_F_ACK_TLVS, bytes(4), seq=n)], "nlmsghdr"),
    ],
)  # fmt: skip
def test_a_broken_reply_is_said_to_be_one(script, says):
    with pytest.raises(BadReply, match=says):
        dump(script)


def test_silence_is_a_timeout():
    with pytest.raises(TimedOut, match="read tcp sockets: no answer within 10 seconds"):
        dump(lambda n: [listener(1, n)])


@pytest.mark.parametrize("late", [0, 1])
def test_answers_without_end_are_a_timeout(monkeypatch, late):
    """Whether they answer our request or, `late`, another one."""
    monkeypatch.setattr(system, "_SECONDS", 0.02)

    class Endless:
        def send(self, data):
            self.answer = listener(1, seq(data) - late)

        def recvfrom_into(self, buffer, nbytes, flags):
            buffer[: len(self.answer)] = self.answer
            return len(self.answer), (0, 0)

        def close(self):
            pass

    with (
        Netlink(opener=lambda protocol: Endless()) as link,
        pytest.raises(TimedOut, match="no end of the dump"),
    ):
        link.dump(REQUEST, "tcp sockets")


def test_what_is_not_from_the_kernel_is_not_read():
    """Whoever rules the namespace may send to our socket, and guess the sequence number."""
    kernel = FakeKernel(replies=lambda request: [listener(1, seq(request)), fakekernel.done(seq(request))])

    class Forged(type(kernel.open(4))):
        def recvfrom_into(self, buffer, nbytes, flags):
            if not getattr(self, "said", False):
                self.said = True
                forged = listener(6, 1)
                buffer[: len(forged)] = forged
                return len(forged), (4242, 0)
            return super().recvfrom_into(buffer, nbytes, flags)

    with Netlink(opener=lambda protocol: Forged(kernel)) as link:
        told = link.dump(REQUEST, "tcp sockets")
    assert [row[14] for row in inet_diag.rows(told)] == [row[14] for row in inet_diag.rows(listener(1, 1))]


def test_no_netlink_is_not_supported(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EAFNOSUPPORT, "no")

    monkeypatch.setattr(system.socket, "socket", refuse)
    with pytest.raises(NotSupported, match="open netlink socket"):
        Netlink()


def test_the_real_kernel_leaves_no_descriptor():
    before = os.listdir("/proc/self/fd")
    with Netlink() as link:
        link.dump(REQUEST, "tcp sockets")
        with pytest.raises(NotSupported):
            link.dump(inet_diag.request(inet_diag.AF_INET, 200, 1), "sockets of no protocol")
    assert os.listdir("/proc/self/fd") == before
