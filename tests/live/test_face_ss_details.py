"""What the ss face writes behind the addresses, and its tables that are not IP's, against ss of iproute2 itself.

ss reads recordings, so both are given the same made-up answers of a kernel and the same made-up text of /proc, more
of it than any kernel here would tell.  What this kernel has is staged in a namespace, at rest, and both look at it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import socket
import struct
import subprocess

import pytest
from tests.live.ss_makeup import Maker
from tests.ss_reading import RecordedReading, behind_the_addresses, options, rendered
from tests.support import require

from portside.faces.ss import families, replay
from portside.system.host import LIVE
from portside.system.netlink import Netlink
from portside.testing import Namespace
from portside.wire import inet_diag, netlink


def ss(*words, **environ):
    """What ss prints; it must not complain."""
    require(shutil.which("ss"), "ss of iproute2 is not installed")
    version = subprocess.run(["ss", "-V"], capture_output=True, text=True, timeout=30, check=True).stdout
    require("iproute2-6.1.0" in version, f"ss is {version.strip()}, its texts differ")
    done = subprocess.run(
        ["ss", *words], capture_output=True, timeout=30, env=os.environ | environ, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("flags", ["oim", "eimn", "oiTS", "emTS", "ien", "oimn"])
def test_the_inside_of_ip_sockets_is_written_as_ss_writes_it(flags, tmp_path):
    """Timers, details, memory, tcp_info of any length, congestion control, TLS, MPTCP, SCTP."""
    maker = Maker(flags)
    answers = b"".join(maker.answer(port) for port in range(1, 401))
    (tmp_path / "file").write_bytes(
        answers + netlink.message(netlink.NLMSG_DONE, netlink.NLM_F_MULTI, bytes(4))
    )
    words = [f"-t{re.sub('[TS]', '', flags)}H"]
    words += ["--tos"] * ("T" in flags) + ["--inet-sockopt"] * ("S" in flags)
    printed = ss(*words, TCPDIAG_FILE=str(tmp_path / "file"))
    sockets = re.split(r"\n(?!\t)", printed.removesuffix("\n"))
    chosen = options(re.sub("[TS]", "", flags), tos="T" in flags, sockopt="S" in flags)
    ours = [
        behind_the_addresses(row, chosen) for row in inet_diag.rows(replay.recorded(str(tmp_path / "file")))
    ]
    assert len(ours) == len(sockets) == 400
    for written, theirs in zip(map(str.rstrip, ours), map(str.rstrip, sockets), strict=True):
        assert theirs.endswith(written)
        before = theirs.removesuffix(written)
        assert re.fullmatch(r"(`- )?\S+ +\d+ +\d+ +\S+:\S+ +\S+:\S+ *", before), before


TABLES = {
    "tcp": "-t",
    "udp": "-u",
    "raw": "-w",
    "unix": "-x",
    "packet": "-0",
    "netlink": "-fnetlink",
    "mptcp": "-M",
}
NAMED = ("unix", "packet")  # tables with a column for their name: there is more than one of each


@pytest.mark.parametrize("seed", range(4))
def test_recorded_text_is_read_as_ss_reads_it(seed, tmp_path):
    maker = Maker(seed)
    texts = {
        "tcp": maker.table(1, tcp=True), "tcp6": maker.table(4, tcp=True), "udp": maker.table(1),
        "udp6": maker.table(4), "raw": maker.table(1), "raw6": maker.table(4),
        "unix": maker.unix(2000 if seed == 3 else 50), "packet": maker.packet(), "netlink": maker.netlink(),
    }  # fmt: skip
    (tmp_path / "net").mkdir()
    for name, text in texts.items():
        (tmp_path / "net" / name).write_text(text)
    reading = RecordedReading(texts={f"net/{name}": text for name, text in texts.items()})
    reading.host = LIVE  # for iproute2's names of netlink protocols
    reading.environ = {"PROC_ROOT": str(tmp_path)}
    for table, word in TABLES.items():
        for flags in ("n", "en", "oin", "eimn"):
            lines = list(replay.rows(table, options(flags), reading))
            ours = rendered(lines, () if table in NAMED else (0,))
            assert ours == ss("-a", word, f"-{flags}", PROC_ROOT=str(tmp_path)), (table, flags)


# -- this kernel's own


def packet_sockets(stack):
    """Packet sockets of both types, with a ring, in a fanout group, with a filter."""

    def make(kind, protocol, interface=""):
        made = stack.enter_context(socket.socket(socket.AF_PACKET, kind, socket.htons(protocol)))
        if interface:
            made.bind((interface, protocol))
        return made

    make(socket.SOCK_RAW, 3)
    make(socket.SOCK_DGRAM, 0x800, "lo")
    sol_packet, auxdata, version, rx_ring, fanout = 263, 8, 10, 5, 18
    grouped = make(socket.SOCK_RAW, 0x88CC, "lo")
    grouped.setsockopt(sol_packet, fanout, 7 | 1 << 16)
    grouped.setsockopt(sol_packet, auxdata, 1)
    ring = make(socket.SOCK_RAW, 0x806)
    ring.setsockopt(sol_packet, version, 2)
    ring.setsockopt(sol_packet, rx_ring, struct.pack("=7I", 4096, 2, 2048, 4, 60, 0, 0))
    steps = ctypes.create_string_buffer(struct.pack("=HBBIHBBI", 0x28, 0, 0, 12, 6, 0, 0, 0xFFFF))
    ring.setsockopt(
        socket.SOL_SOCKET, 26, struct.pack("=HxxxxxxQ", 2, ctypes.addressof(steps))
    )  # SO_ATTACH_FILTER


def unix_sockets(stack):
    """Unix sockets of every type and state: a listener with a connection waiting, half shut down, abstract."""

    def make(kind, name=b"", backlog=None):
        made = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        if name:
            made.bind(name)
        if backlog is not None:
            made.listen(backlog)
        return made

    make(socket.SOCK_STREAM, b"a stream", 3)
    make(socket.SOCK_STREAM).connect(b"a stream")
    make(socket.SOCK_SEQPACKET, b"\0abs\0tract")
    make(socket.SOCK_DGRAM, b"dgram")
    sender = make(socket.SOCK_DGRAM)
    sender.connect(b"dgram")
    sender.send(b"hello")
    left, right = map(stack.enter_context, socket.socketpair())
    left.shutdown(socket.SHUT_RD)
    left.send(b"unread")
    right.shutdown(socket.SHUT_WR)


def netlink_sockets(stack):
    """Netlink sockets with a port id of their own, in groups, connected."""
    for protocol, address in ((0, (0, 1)), (15, (0xFFFFF123, 2)), (2, (0x7FFFFFF0, 0))):
        made = stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))
        made.bind(address)
    made.connect((77, 0))


class LiveReading(RecordedReading):
    """Asks the kernel, without owners and filter."""

    def __init__(self):
        super().__init__()
        self.host = LIVE

    def dump(self, request, what):
        with Netlink() as link:
            return link.dump(request, what)

    def interface(self, index):
        return socket.if_indextoname(index)

    def process(self, pid):
        return LIVE.read_or(f"/proc/{pid}/comm").strip()


def compare(table, directory):
    """Return flags -> (ours, ss's) of everything that is staged."""
    os.chdir(directory)
    told = {}
    with contextlib.ExitStack() as stack:
        {"unix": unix_sockets, "packet": packet_sockets, "netlink": netlink_sockets}[table](stack)
        for flags in ("", "n", "e", "m", "em", "b", "eO", "bemO"):
            lines = list(families.rows(table, options(flags), LiveReading()))
            ours = rendered(lines, () if table in NAMED else (0,))
            told[flags] = ours, ss("-a", TABLES[table], *([f"-{flags}"] if flags else []))
    return told


@pytest.mark.parametrize("table", ["unix", "packet"])
def test_tables_of_this_kernel(table, tmp_path):
    with Namespace() as scratch:
        told = scratch.call(compare, table, str(tmp_path))
    for flags, (ours, theirs) in told.items():
        assert ours == theirs, flags
        assert len(ours.splitlines()) > 4, flags


def without_the_asker(printed):
    """Sorted lines without padding, without the socket that asked and the kernel's end that it asked."""
    lines = [re.sub(" +", " ", line).strip() for line in printed.splitlines()]
    return sorted(line for line in lines if not re.search(r" (tcpdiag|4):", line))


def test_netlink_sockets_of_this_kernel(tmp_path):
    with Namespace() as scratch:
        told = scratch.call(compare, "netlink", str(tmp_path))
    for flags, printed in told.items():
        ours, theirs = map(without_the_asker, printed)
        assert ours == theirs, flags
        assert any("uevent:-3805" in line or " 15:-3805" in line for line in ours)


@pytest.mark.parametrize("table", ["vsock", "tipc", "xdp"])
def test_what_this_kernel_may_lack_is_as_empty_as_in_ss(table):
    def count():
        return len(list(families.rows(table, options(), LiveReading()))), len(
            ss("-aH", f"--{table}").splitlines()
        )

    with Namespace() as scratch:
        ours, theirs = scratch.call(count)
    assert ours == theirs
