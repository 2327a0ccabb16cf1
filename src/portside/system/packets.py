"""Sending packets made elsewhere and hearing what answers: the three roads out and the one way in.

Out, `open_sender` tries in this order and says which it took:
  xdp      an AF_XDP socket in copy mode: one system call sends hundreds of packets straight to the driver
  packet   an AF_PACKET socket and sendmmsg(2)
and `open_raw_sender` is for what has no link layer to be written, own addresses and tunnels first:
  raw      a raw IP socket and sendmmsg(2); the kernel finds the way
PACKET_TX_RING was measured too and is no faster than sendmmsg: each packet still costs a buffer of the kernel's.

All have `slots` (`count` places of `stride` bytes), `entries` (for each slot 16 bytes, the length at byte 8) and
`place`, the slot to be filled next.  In, `Ring` is a memory-mapped ring of a packet socket behind a filter.
All need CAP_NET_RAW.  Nothing here looks into a packet.
References: af_xdp.rst, packet_mmap.rst, packet(7), raw(7), sendmmsg(2).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import time
from struct import pack, pack_into

from portside.errors import NotSupported, PortsideError
from portside.system.netlink import from_os
from portside.wire import packet_ring, xdp
from portside.wire.packet_ring import SOL_PACKET
from portside.wire.packets import ETH_P_ALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Sender(Protocol):
        """A road out: see the module's text."""

        road: str
        count: int
        stride: int
        slots: mmap.mmap
        entries: memoryview
        names: memoryview
        place: int

        def room(self) -> int:
            """Return how many slots from `place` on may be filled now, without wrapping around."""

        def send(self, count: int) -> int:
            """Send the packets in the next `count` slots; return how many the kernel took."""

        def close(self) -> None:
            """Release the socket and the memory."""


_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.sendto.argtypes = (
    ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint,
)  # fmt: skip
_libc.mmap.restype = ctypes.c_void_p

MMSGHDR, IOVEC = 64, 16  # sizes of struct mmsghdr and struct iovec where pointers have 64 bits
_MESSAGES = 1024  # UIO_MAXIOV, the most that sendmmsg(2) takes
_STRIDE = 2048
_NAME = 32  # room for a sockaddr_in6
_XDP_SLOTS = 2048
_XDP_BUDGET = 512
_XDP_FULL = (errno.EAGAIN, errno.EBUSY, errno.ENOBUFS)
_AGAIN = (errno.ENOBUFS, errno.EAGAIN, errno.EINTR)
_BUFFER = 8 << 20
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_IPV6_HDRINCL = 36  # include/uapi/linux/in6.h, 4.14


ROADS = ("xdp", "packet")  # the fastest first, as measured: half as much again on a veth pair (6.18)


def open_sender(interface: int, roads: tuple[str, ...] = ROADS) -> Sender:
    """Open the first road that this kernel and interface have for Ethernet frames.

    Raises NotPermitted without CAP_NET_RAW, NotSupported where there is none.
    """
    refusal: PortsideError = NotSupported("open", "packet socket", "no road was named")
    for road in roads:
        try:
            return XdpSender(interface) if road == "xdp" else _packet_sender(interface)
        except OSError as error:
            refusal = from_os(error, "open", f"{road} socket")
    raise refusal


def open_raw_sender(family: int) -> Sender:
    """Open a raw IP socket for whole packets with their header; each has its target in `names` (struct sockaddr)."""
    try:
        link = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    except OSError as error:
        raise from_os(error, "open", "raw IP socket") from error
    if family == socket.AF_INET6:
        link.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
    return MessageSender(link, "raw", named=28 if family == socket.AF_INET6 else 16)


def _packet_sender(interface: int) -> Sender:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: it receives nothing
    link.bind((socket.if_indextoname(interface), 0))
    return MessageSender(link, "packet")


class MessageSender:
    """sendmmsg(2): headers are laid out once and point at the slots; `named` is the size of each target's name."""

    def __init__(self, link: socket.socket, road: str, named: int = 0) -> None:
        self.road, self.count, self.stride, self.place = road, _MESSAGES, _STRIDE, 0
        self._link = link
        _widen(link, socket.SO_SNDBUF, _SO_SNDBUFFORCE)
        self.slots = mmap.mmap(-1, self.count * self.stride)
        self._table = mmap.mmap(-1, self.count * (MMSGHDR + IOVEC + _NAME))
        self._headers = _address(self._table)
        vectors = self._headers + self.count * MMSGHDR
        names = vectors + self.count * IOVEC
        slots = _address(self.slots)
        for at in range(self.count):
            name = names + at * _NAME if named else 0
            pack_into(
                "@PIPNPNiI", self._table, at * MMSGHDR, name, named, vectors + at * IOVEC, 1, 0, 0, 0, 0
            )
            pack_into("@PN", self._table, self.count * MMSGHDR + at * IOVEC, slots + at * self.stride, 0)
        view = memoryview(self._table)
        self.entries = view[self.count * MMSGHDR : self.count * (MMSGHDR + IOVEC)]
        self.names = view[self.count * (MMSGHDR + IOVEC) :]

    def room(self) -> int:
        """Return the slots left: all of them, since the kernel copies."""
        return self.count - self.place

    def send(self, count: int) -> int:
        """Send the next `count` packets; what the kernel has no buffer for just then is not sent and not counted."""
        sent, first = 0, self.place
        while sent < count:
            done = _libc.sendmmsg(
                self._link.fileno(), self._headers + (first + sent) * MMSGHDR, count - sent, 0
            )
            if done > 0:
                sent += done
                continue
            number = ctypes.get_errno()
            if number in _AGAIN:
                break
            raise OSError(number, os.strerror(number))
        self.place = (first + count) % self.count
        return sent

    def close(self) -> None:
        """Close the socket; the memory goes with the last view of it."""
        self._link.close()


class XdpSender:
    """AF_XDP, sending alone: needs no program; copy mode works on every driver.

    Raises OSError where the kernel has none, or another socket has the interface's first queue.
    """

    def __init__(self, interface: int) -> None:
        self.road, self.count, self.stride, self.place = "xdp", _XDP_SLOTS, xdp.CHUNK, 0
        self._file = _check(_libc.socket(xdp.AF_XDP, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0))
        try:
            self._lay_out()
            self._bind(interface)
        except BaseException:
            os.close(self._file)
            raise
        self._made = self._done = 0
        self.names = memoryview(b"")

    def _lay_out(self) -> None:
        self.slots = mmap.mmap(-1, self.count * self.stride)
        size = self.count * self.stride
        self._set(
            xdp.XDP_UMEM_REG, xdp.XDP_UMEM.write(addr=_address(self.slots), len=size, chunk_size=self.stride)
        )
        # bind(2) wants the fill ring too, though nothing is received: net/xdp/xsk.c, xsk_bind
        for ring in (xdp.XDP_UMEM_FILL_RING, xdp.XDP_UMEM_COMPLETION_RING, xdp.XDP_TX_RING):
            self._set(ring, pack("=I", self.count))
        room = ctypes.create_string_buffer(xdp.MMAP_OFFSETS.size)
        length = ctypes.c_uint32(xdp.MMAP_OFFSETS.size)
        _check(_libc.getsockopt(self._file, xdp.SOL_XDP, xdp.XDP_MMAP_OFFSETS, room, ctypes.byref(length)))
        places = xdp.MMAP_OFFSETS.unpack(room.raw)
        self._producer, _, entries, _ = places[4:8]
        self._completed, self._consumed, done, _ = places[12:16]
        self._ring = mmap.mmap(
            self._file, entries + self.count * xdp.DESCRIPTOR.size, offset=xdp.XDP_PGOFF_TX_RING
        )
        self._back = mmap.mmap(self._file, done + self.count * 8, offset=xdp.XDP_UMEM_PGOFF_COMPLETION_RING)
        for at in range(self.count):
            xdp.DESCRIPTOR.struct.pack_into(
                self._ring, entries + at * xdp.DESCRIPTOR.size, at * self.stride, 0, 0
            )
        self.entries = memoryview(self._ring)[entries : entries + self.count * xdp.DESCRIPTOR.size]
        try:
            self._set(xdp.XDP_MAX_TX_SKB_BUDGET, pack("=I", _XDP_BUDGET))
        except OSError:
            pass  # an older kernel takes 32 in one call

    def _bind(self, interface: int) -> None:
        """Bind to the first queue; the kernel lets go of an ended scan's socket a little later than its process."""
        name = xdp.SOCKADDR_XDP.write(sxdp_family=xdp.AF_XDP, sxdp_flags=xdp.XDP_COPY, sxdp_ifindex=interface)
        for left in range(20, -1, -1):
            if _libc.bind(self._file, name, len(name)) == 0:
                return
            if ctypes.get_errno() != errno.EBUSY or not left:
                _check(-1)
            time.sleep(0.01)

    def _set(self, option: int, value: bytes) -> None:
        _check(_libc.setsockopt(self._file, xdp.SOL_XDP, option, value, len(value)))

    def room(self) -> int:
        """Return the slots that the kernel has given back, up to the end of the ring."""
        completed = int.from_bytes(self._back[self._completed : self._completed + 4], "little")
        self._back[self._consumed : self._consumed + 4] = completed.to_bytes(4, "little")
        self._done += (completed - self._done) & 0xFFFFFFFF
        return min(self.count - (self._made - self._done), self.count - self.place)

    def send(self, count: int) -> int:
        """Hand over the next `count` slots and have the kernel send until all that is in the ring went out."""
        self._made += count
        self.place = (self.place + count) % self.count
        self._ring[self._producer : self._producer + 4] = (self._made & 0xFFFFFFFF).to_bytes(4, "little")
        idle = 0
        while self._made != self._done and idle < 1000:
            before = self._done
            if _libc.sendto(self._file, None, 0, socket.MSG_DONTWAIT, None, 0) < 0:
                number = ctypes.get_errno()
                if number not in _XDP_FULL:
                    raise OSError(number, os.strerror(number))
            self.room()
            idle = idle + 1 if before == self._done else 0
        return count

    def close(self) -> None:
        """Close the socket, which frees the queue."""
        self.entries.release()
        self._ring.close()
        self._back.close()
        os.close(self._file)


class Ring:
    """What answers, of every interface: a ring of `count` slots, `stride` bytes each, that the kernel fills.

    `memory` holds the slots (`wire.packet_ring`); `program` is the filter in front, classic BPF.
    """

    def __init__(self, program: bytes, count: int = 1 << 16, stride: int = 256) -> None:
        self.count, self.stride = count, stride
        block = 1 << 18
        sizes = packet_ring.TPACKET_REQ.write(
            tp_block_size=block, tp_block_nr=count * stride // block, tp_frame_size=stride, tp_frame_nr=count
        )
        try:
            self._link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except OSError as error:
            raise from_os(error, "open", "packet socket") from error
        try:
            self._link.setsockopt(SOL_PACKET, packet_ring.PACKET_VERSION, packet_ring.TPACKET_V2)
            self._link.setsockopt(SOL_PACKET, packet_ring.PACKET_RX_RING, sizes)
            _attach(self._link, program)
            self._link.setsockopt(SOL_PACKET, packet_ring.PACKET_IGNORE_OUTGOING, 1)
            _bind_everywhere(self._link)  # from here on packets come
            self.memory = mmap.mmap(self._link.fileno(), count * stride)
        except OSError as error:
            self._link.close()
            raise from_os(error, "open", "ring of a packet socket") from error

    def fileno(self) -> int:
        """Return the descriptor, readable while a slot waits."""
        return self._link.fileno()

    def lost(self) -> int:
        """Return how many packets did not fit into the ring since the last call."""
        raw = self._link.getsockopt(SOL_PACKET, packet_ring.PACKET_STATISTICS, packet_ring.TPACKET_STATS.size)
        return int(packet_ring.TPACKET_STATS.read(raw)[1])

    def close(self) -> None:
        """Close the socket; the memory goes with the last view of it."""
        self._link.close()


class LinkSocket:
    """Whole frames of one protocol on one interface, one at a time: for ARP and neighbour discovery."""

    def __init__(self, interface: int, protocol: int) -> None:
        try:
            self._link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            _widen(self._link, socket.SO_RCVBUF, _SO_RCVBUFFORCE)
            self._link.bind((socket.if_indextoname(interface), protocol))
        except OSError as error:
            raise from_os(error, "open", "packet socket") from error

    def send(self, frame: bytes) -> None:
        """Send a frame; one that does not fit into the queue is lost, as on the wire."""
        try:
            self._link.send(frame)
        except OSError as error:
            if error.errno not in _AGAIN:
                raise

    def receive(self, seconds: float) -> bytes:
        """Return the next frame, empty if none comes in time."""
        import select

        if not select.select([self._link], [], [], max(seconds, 0))[0]:
            return b""
        try:
            return self._link.recv(2048)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the socket."""
        self._link.close()


def _attach(link: socket.socket, program: bytes) -> None:
    """Put the filter before the socket: struct sock_fprog points at the instructions."""
    code = ctypes.create_string_buffer(program, len(program))
    link.setsockopt(
        socket.SOL_SOCKET,
        packet_ring.SO_ATTACH_FILTER,
        pack("@HP", len(program) // 8, ctypes.addressof(code)),
    )


def _bind_everywhere(link: socket.socket) -> None:
    """Bind to every protocol of every interface: struct sockaddr_ll with interface 0, which Python cannot say."""
    name = packet_ring.SOCKADDR_LL.write(sll_family=socket.AF_PACKET, sll_protocol=socket.htons(ETH_P_ALL))
    _check(_libc.bind(link.fileno(), name, len(name)))


def _widen(link: socket.socket, option: int, forced: int) -> None:
    try:
        link.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
    except OSError:  # without CAP_NET_ADMIN up to net.core.wmem_max, rmem_max
        link.setsockopt(socket.SOL_SOCKET, option, _BUFFER)


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def check_permitted() -> None:
    """Raise NotPermitted if this process may not open packet sockets."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except OSError as error:
        raise from_os(error, "open", "packet socket") from error
