"""Files on their way: whole or not at all, resumed, checked; hostile names and broken ends; plain netcats."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
from tests.live.certificates import Certified
from tests.live.forwarding import wait_for
from tests.live.transferring import PORTSIDE, PROTECTIONS, Receiving, made
from tests.support import require

from portside.errors import BadReply, BadRequest, NotPermitted, NotSupported, PortsideError
from portside.system import commands
from portside.system.tls import Tls
from portside.use.transfer import channel, sealing
from portside.use.transfer.receiving import receive
from portside.use.transfer.sending import send
from portside.wire import transfer as wire
from portside.wire.transfer import Entry

MEGABYTES = 7_340_033


@pytest.mark.parametrize("size", [0, 1, 1 << 20, MEGABYTES])
@pytest.mark.parametrize("protection", PROTECTIONS)
def test_a_file_with_its_mode_and_time(places, size, protection):
    here, there = places
    file = made(here / "some file\n\udcff", size)
    file.chmod(0o751)
    os.utime(file, ns=(1, 1_234_567_891_234_567_891))
    receiving = Receiving(there, **PROTECTIONS[protection])
    sent = send(str(file), receiving.target, **receiving.protection)
    got = receiving.end()
    landed = there / file.name
    assert landed.read_bytes() == file.read_bytes()
    assert (landed.stat().st_mode & 0o7777, landed.stat().st_mtime_ns) == (0o751, 1_234_567_891_234_567_891)
    assert sent.confirmed
    assert got.confirmed
    assert sent.sha256 == got.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert os.listdir(there) == [file.name]


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_what_is_there_is_not_replaced_unless_told(places, protection):
    here, there = places
    file = made(here / "file", 1000)
    (there / "file").write_text("mine")
    receiving = Receiving(there, **PROTECTIONS[protection])
    with pytest.raises(PortsideError, match="it exists"):
        send(str(file), receiving.target, **receiving.protection)
    receiving.end()
    assert (there / "file").read_text() == "mine"
    receiving = Receiving(there, overwrite=True)
    send(str(file), receiving.target)
    receiving.end()
    assert (there / "file").read_bytes() == file.read_bytes()


def test_what_cannot_be_written_is_refused_before_a_sender_comes(tmp_path):
    for path in (tmp_path / "none" / "file", tmp_path / "none" / "deeper" / "file"):
        with pytest.raises(PortsideError, match="there is no such directory"):
            receive("0", str(path), timeout=1, on_listening=lambda _: pytest.fail("it listens"))


def test_a_name_of_the_receivers_choice(places):
    here, there = places
    receiving = Receiving(there / "other")
    send(str(made(here / "file", 10)), receiving.target)
    assert receiving.end().path == str(there / "other")
    assert os.listdir(there) == ["other"]


def test_a_directory_as_it_is(places):
    here, there = places
    tree = here / "tree"
    (tree / "a" / "empty").mkdir(parents=True)
    made(tree / "a" / "one", 3_000_000)
    made(tree / "two", 5).chmod(0o600)
    (tree / "a" / "link").symlink_to("../two")
    (tree / "out").symlink_to("/etc/passwd")
    os.mkfifo(tree / "pipe")
    (tree / "a").chmod(0o500)
    os.utime(tree / "a", ns=(5, 5_000_000_000))
    receiving = Receiving(there)
    sent = send(str(tree) + "/", receiving.target)
    got = receiving.end()
    assert (got.files, got.size) == (2, 3_000_005)
    assert sorted(word.partition(":")[0] for word in sent.skipped) == [str(tree / "out"), str(tree / "pipe")]
    done = subprocess.run(
        ["diff", "-r", "--no-dereference", str(tree), str(there / "tree")], capture_output=True, text=True
    )
    assert sorted(done.stdout.splitlines()) == [f"Only in {tree}: out", f"Only in {tree}: pipe"]
    landed = (there / "tree" / "a").stat()
    assert (landed.st_mode & 0o777, landed.st_mtime_ns) == (0o500, 5_000_000_000)
    assert os.readlink(there / "tree" / "a" / "link") == "../two"


def test_sparse_files_stay_sparse(places):
    here, there = places
    with open(here / "sparse", "wb") as file:
        file.seek(300 << 20)
        file.write(b"in the middle")
        file.truncate(400 << 20)
    require(os.stat(here / "sparse").st_blocks < 1000, "the file system has no holes")
    receiving = Receiving(there)
    sent = send(str(here / "sparse"), receiving.target)
    receiving.end()
    landed = os.stat(there / "sparse")
    assert landed.st_size == 400 << 20
    assert landed.st_blocks * 512 < 10 << 20
    with open(there / "sparse", "rb") as file:
        file.seek(300 << 20)
        assert file.read(15) == b"in the middle\0\0"
    assert sent.confirmed


@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize("kind", ["file", "tree"])
def test_what_broke_is_gone_on_with(places, kind, protection):
    here, there = places
    if kind == "tree":
        (here / "tree").mkdir()
        made(here / "tree" / "first", 100_000)
        made(here / "tree" / "gone by then", 10)
    file = made(here / "tree" / "second" if kind == "tree" else here / "file", MEGABYTES)
    root = here / ("tree" if kind == "tree" else "file")
    part = there / f".{root.name}.portside-part" / file.relative_to(root)
    receiving = Receiving(there, **PROTECTIONS[protection])

    def stop(progress):
        if progress.path == str(file) and progress.done >= 3 << 20:
            wait_for(lambda: part.exists() and part.stat().st_size >= 2 << 20, 60)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        send(str(root), receiving.target, **receiving.protection, on_progress=stop)
    receiving.end()
    assert receiving.error is not None
    assert os.listdir(there) == [f".{root.name}.portside-part"]
    if kind == "tree":
        (here / "tree" / "gone by then").unlink()
    receiving = Receiving(there, **PROTECTIONS[protection])
    sent = send(str(root), receiving.target, **receiving.protection)
    got = receiving.end()
    assert sent.resumed == got.resumed >= 2 << 20
    assert os.listdir(there) == [root.name]
    if kind == "tree":
        assert sorted(os.listdir(there / "tree")) == ["first", "second"]
        assert (there / "tree" / "second").read_bytes() == file.read_bytes()
    else:
        assert (there / "file").read_bytes() == file.read_bytes()


def test_a_long_checksum_is_no_silence(places, monkeypatch):
    """While what is there is read again, both sides say that they live, and the user is shown how far it is."""
    monkeypatch.setattr(channel, "BUSY_EVERY", 0.0)
    here, there = places
    file = made(here / "file", MEGABYTES)
    (there / ".file.portside-part").write_bytes(file.read_bytes()[: 5 << 20])
    told = {"receiver": [], "sender": []}
    receiving = Receiving(there, on_progress=told["receiver"].append)
    words, answers = bytearray(), bytearray()
    with Between(receiving.target, words=words, answers=answers) as target:
        assert send(str(file), target, on_progress=told["sender"].append).resumed == 5 << 20
    receiving.end()
    assert kinds(answers[len(wire.GREETING) :]) == [wire.BUSY] * 5 + [wire.FROM, wire.DONE, wire.BYE]
    assert kinds(words[len(wire.HELLO) + 1 :])[:7] == [wire.ENTRY, *[wire.BUSY] * 5, wire.START]
    for each in told.values():
        checked = [(one.done >> 20, one.size >> 20) for one in each if one.checking]
        assert checked == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
        assert (each[-1].done, each[-1].checking) == (MEGABYTES, False)
    assert (there / "file").read_bytes() == file.read_bytes()


def test_a_disk_that_takes_its_time_is_waited_for(places, monkeypatch):
    """A receiver that writes out what the kernel has kept says nothing for longer than silence may last."""
    here, _ = places
    file = made(here / "file", 10)
    monkeypatch.setattr(channel, "SILENCE", 5.0)

    def receiver():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(wire.GREETING)
            there = channel.Channel(connection)
            connection.recv(len(wire.HELLO) + 1, socket.MSG_WAITALL)
            entry = wire.parse_entry(there.expect(wire.ENTRY))
            there.send(wire.FROM, wire.encode_point(0, hashlib.sha256().digest()))
            for kind in (wire.START, wire.DATA):
                there.expect(kind)
            end = there.expect(wire.END)
            time.sleep(6)
            there.send(wire.DONE, end)
            there.expect(wire.BYE)
            there.send(wire.BYE)
            assert entry.path == ("file",)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=receiver)
        thread.start()
        assert send(str(file), f"127.0.0.1:{listener.getsockname()[1]}").confirmed
        thread.join(60)


def test_only_what_is_verified_is_gone_on_from(places):
    """A part that is not the file's beginning is thrown away: also one that is longer."""
    here, there = places
    file = made(here / "file", 2_000_000)
    for part in (bytes(1_000_000), file.read_bytes() + b"more", file.read_bytes()):
        (there / ".file.portside-part").write_bytes(part)
        receiving = Receiving(there / "file", overwrite=True)
        sent = send(str(file), receiving.target)
        receiving.end()
        assert sent.resumed == (2_000_000 if part == file.read_bytes() else 0)
        assert (there / "file").read_bytes() == file.read_bytes()


def test_a_receiver_that_is_killed_is_gone_on_with(places):
    """The real program, killed in the middle."""
    here, there = places
    made(here / "file", 30_000_000)
    killed = subprocess.Popen(
        [*PORTSIDE, "receive", "127.0.0.1:0", str(there)], stderr=subprocess.PIPE, text=True
    )
    target = killed.stderr.readline().split()[2]

    def kill(progress):
        if progress.done > 10 << 20 and killed.poll() is None:
            wait_for(lambda: (there / ".file.portside-part").stat().st_size >= 1 << 20, 60)
            killed.kill()
            killed.wait()

    with pytest.raises(PortsideError, match=r"file': .*; send it again to go on"):
        send(str(here / "file"), target, on_progress=kill)
    killed.communicate()
    receiving = Receiving(there)
    assert send(str(here / "file"), receiving.target).resumed >= 1 << 20
    receiving.end()
    assert (there / "file").read_bytes() == (here / "file").read_bytes()


def test_a_full_disk_is_told_to_both(places):
    """A limit on file size stands for the disk; the signal that goes with it is ignored, as Python does."""
    here, there = places
    made(here / "file", 5_000_000)
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000000, 2000000));"
        "from portside.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    limited = subprocess.Popen(
        [sys.executable, "-c", script, "receive", "127.0.0.1:0", str(there)],
        stderr=subprocess.PIPE,
        text=True,
    )
    target = limited.stderr.readline().split()[2]
    with pytest.raises(PortsideError, match="file too large"):
        send(str(here / "file"), target)
    _, said = limited.communicate(timeout=20)
    assert limited.returncode == 2
    assert "file too large; what has come is kept" in said
    assert os.listdir(there) == [".file.portside-part"]


def test_a_full_file_system_is_told_to_both_and_gone_on_with(places, tmp_path):
    """A small tmpfs in a mount namespace of the receiver's own; once there is room the rest is sent."""
    require(os.geteuid() == 0, "root is needed to mount")
    here, _ = places
    made(here / "file", 9_000_000)
    script = (
        f"cd {tmp_path} && mount -t tmpfs -o size=4m none to || exit; "
        'portside() { "$@" receive 127.0.0.1:0 to; echo $?; }; '
        'portside "$@"; mount -o remount,size=40m to; portside "$@"; cmp from/file to/file'
    )
    receiver = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, "sh", *PORTSIDE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pytest.raises(NotSupported, match="the receiver says: no space left on device"):
        send(str(here / "file"), receiver.stderr.readline().split()[2])
    assert "no space left on device; what has come is kept; send it again" in receiver.stderr.readline()
    sent = send(str(here / "file"), receiver.stderr.readline().split()[2])
    out, err = receiver.communicate(timeout=60)
    assert sent.resumed >= 1 << 20
    assert (receiver.returncode, err) == (0, "")
    assert [out.splitlines()[at] for at in (0, -1)] == ["2", "0"]


def test_a_file_that_changes_is_no_mixture(places):
    here, there = places
    file = made(here / "file", 5_000_000)
    receiving = Receiving(there)

    def change(progress):
        if progress.done > 2 << 20:
            file.write_bytes(b"new")

    with pytest.raises(PortsideError, match="has changed"):
        send(str(file), receiving.target, on_progress=change)
    receiving.end()
    assert not (there / "file").exists()


def test_a_wrong_code(places):
    here, there = places
    file = str(made(here / "file", 100))
    for theirs, ours in (("aaaa-bbbb", "aaaa-bbbc"), ("aaaa-bbbb", ""), ("", "aaaa-bbbb")):
        receiving = Receiving(there, code=theirs)
        with pytest.raises(NotPermitted):
            send(file, receiving.target, code=ours)
        receiving.end()
        assert isinstance(receiving.error, NotPermitted)
    assert os.listdir(there) == []


@pytest.mark.parametrize("protection", ["code", "tls"])
def test_nothing_can_be_read_on_the_way(places, protection):
    """With a code or TLS neither the content nor the name is on the wire."""
    here, there = places
    file = here / "secret-name"
    file.write_bytes(b"secret content " * 1000)
    receiving = Receiving(there, **PROTECTIONS[protection])
    seen = bytearray()
    with Between(receiving.target, words=seen, answers=seen) as target:
        send(str(file), target, **receiving.protection)
    receiving.end()
    assert len(seen) > 15_000
    assert b"secret" not in seen
    assert (there / "secret-name").read_bytes() == file.read_bytes()


class Between:
    """A relay in front of a receiver that keeps what goes through: `with Between(target, ...) as target`."""

    def __init__(self, target, *, words=None, answers=None):
        self.target = target.split(":")
        self.words = bytearray() if words is None else words
        self.answers = bytearray() if answers is None else answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.pass_on)

    def pass_on(self):
        client, _ = self.listener.accept()
        with client, socket.create_connection((self.target[0], int(self.target[1]))) as server:
            pump = threading.Thread(target=copy, args=(server, client, self.answers))
            pump.start()
            copy(client, server, self.words)
            pump.join(60)

    def __enter__(self):
        self.thread.start()
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __exit__(self, *_):
        self.thread.join(60)
        self.listener.close()


def kinds(data):
    """The kinds of the frames in what went one way."""
    found, at = [], 0
    while at < len(data):
        kind, size = wire.parse_head(bytes(data[at : at + wire.HEAD.size]))
        found.append(kind)
        at += wire.HEAD.size + size
    return found


@pytest.mark.parametrize("kept", [False, True])
def test_a_new_directory_comes_as_a_stream(places, kept):
    """The receiver says where to begin once, not for each file; after a broken transfer for each."""
    here, there = places
    (here / "tree").mkdir()
    for number in range(200):
        (here / "tree" / str(number)).write_text(str(number))
    if kept:
        (there / ".tree.portside-part").mkdir()
    receiving = Receiving(there)
    seen = bytearray()
    with Between(receiving.target, answers=seen) as target:
        assert send(str(here / "tree"), target).files == 200
    receiving.end()
    frames = kinds(seen[len(wire.GREETING) :])
    assert frames.count(wire.DONE) == 200
    assert frames.count(wire.FROM) == (201 if kept else 1)
    assert sorted(os.listdir(there / "tree")) == sorted(os.listdir(here / "tree"))


def copy(source, sink, seen):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            seen += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_without_the_packages_a_code_is_refused(places, monkeypatch):
    monkeypatch.setitem(sys.modules, "spake2", None)
    with pytest.raises(PortsideError, match=r"'spake2' is not installed; pip install 'portside\[code\]'"):
        send(str(places[0]), "127.0.0.1:9", code="aaaa-bbbb")


def test_codes_are_for_reading_out():
    codes = {sealing.new_code() for _ in range(50)}
    assert len(codes) == 50
    assert all(len(code) == 9 and code[4] == "-" and not set(code) & set("01ilo") for code in codes)


HOSTILE = [
    Entry(("..",), wire.FILE, 3),
    Entry(("a/../../b",), wire.FILE, 3),
    Entry(("/etc",), wire.FILE, 3),
    Entry((".",), wire.DIRECTORY),
    Entry(("",), wire.FILE, 3),
    Entry(("a\0b",), wire.FILE, 3),
    Entry(("x" * 300,), wire.FILE, 3),
    Entry((), wire.FILE, 3),
    Entry(("a",), "device"),
    Entry(("a",), wire.FILE, -1),
    Entry(("a",), wire.LINK, target="/etc/passwd"),
    Entry(("a", "b"), wire.LINK, target="../../x"),
    Entry(("a", "b"), wire.LINK, target="c/../../x"),
]


@pytest.mark.parametrize("entry", HOSTILE, ids=lambda entry: repr(entry.path)[:30] + entry.target)
def test_hostile_entries_are_refused(entry):
    with pytest.raises(BadReply):
        wire.parse_entry(wire.encode_entry(entry))


def converse(receiving, *frames):
    """Say HELLO and some frames as a sender; return the reason it is refused for."""
    host, port = receiving.target.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        assert client.recv(100) == wire.GREETING
        client.sendall(wire.HELLO + b"-")
        for kind, payload in frames:
            client.sendall(wire.frame(kind, len(payload)) + payload)
        client.shutdown(socket.SHUT_WR)
        answers = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(1 << 16):
                answers += data
    receiving.end()
    return answers


def test_a_link_is_not_followed_out(places):
    """A directory that a link of an earlier try took the place of leads nowhere."""
    _, there = places
    outside = there.parent / "outside"
    outside.mkdir()
    (there / ".tree.portside-part").mkdir()
    (there / ".tree.portside-part" / "a").symlink_to(outside)
    receiving = Receiving(there)
    frames = [
        (wire.ENTRY, wire.encode_entry(Entry(("tree",), wire.DIRECTORY))),
        (wire.ENTRY, wire.encode_entry(Entry(("tree", "a", "b"), wire.FILE, 3))),
    ]
    converse(receiving, *frames)
    assert receiving.error is not None
    assert os.listdir(outside) == []


@pytest.mark.parametrize(
    "frames",
    [
        [(wire.DATA, b"abc")],
        [(wire.BYE, b"")],
        [(wire.ENTRY, b"{")],
        [(wire.ENTRY, wire.encode_entry(Entry(("a", "b"), wire.FILE, 1)))],
        [(wire.ENTRY, wire.encode_entry(Entry(("a",), wire.FILE, 1))), (wire.START, bytes(8)), (wire.DATA, b"12")],
        [(wire.ENTRY, wire.encode_entry(Entry(("a",), wire.FILE, 1))), (wire.START, bytes(7) + b"\5")],
        [
            (wire.ENTRY, wire.encode_entry(Entry(("a",), wire.FILE, 2))), (wire.START, bytes(8)), (wire.DATA, b"12"),
            (wire.END, wire.encode_point(2, bytes(32))),
        ],
        [(b"?", b"")],
    ],
)  # fmt: skip
def test_a_sender_that_says_nonsense_leaves_nothing_with_the_name(places, frames):
    _, there = places
    receiving = Receiving(there)
    converse(receiving, *frames)
    assert receiving.error is not None
    assert not (there / "a").exists()


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_who_only_connects_keeps_nobody_out(places, protection):
    here, there = places
    receiving = Receiving(there, **PROTECTIONS[protection])
    host, port = receiving.target.split(":")
    with socket.create_connection((host, int(port))), socket.create_connection((host, int(port))) as second:
        second.close()
        idle = [socket.create_connection((host, int(port))) for _ in range(70)]  # more than may wait
        assert send(str(made(here / "file", 10)), receiving.target, **receiving.protection).confirmed
        for each in idle:
            each.close()
    receiving.end()


# ncat --send-only often ends with a reset, which no receiver can tell from a broken transfer
NETCATS = {
    "nc.openbsd": (["nc.openbsd", "-N"], ["nc.openbsd", "-l"]),
    "ncat": (["ncat"], ["ncat", "-l", "--recv-only"]),
}


@pytest.mark.parametrize("peer", NETCATS)
def test_from_a_plain_netcat(places, peer):
    require(shutil.which(peer), f"{peer} is not installed")
    here, there = places
    file = made(here / "file", 3_000_000)
    receiving = Receiving(there / "got")
    with open(file, "rb") as source:
        done = subprocess.run(
            [*NETCATS[peer][0], *receiving.target.split(":")], stdin=source, timeout=30, capture_output=True
        )
    got = receiving.end()
    assert got is not None, (receiving.error, done.returncode, done.stderr)
    assert not got.confirmed
    assert (there / "got").read_bytes() == file.read_bytes()
    assert got.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_plain_sender_that_reads_nothing_is_not_reset(places):
    """With `plain` there is no greeting that it would leave unread: its close would destroy what it has sent."""
    here, there = places
    file = made(here / "file", 3_000_000)
    receiving = Receiving(there / "got", plain=True)
    host, port = receiving.target.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(file.read_bytes())
    got = receiving.end()
    assert got is not None, receiving.error
    assert (there / "got").read_bytes() == file.read_bytes()


def test_a_plain_sender_hears_no_frames(places):
    receiving = Receiving(places[1])  # no name for it
    host, port = receiving.target.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(100):
                heard += data
    receiving.end()
    assert wire.GREETING.startswith(heard)
    assert "names no file; give PATH" in str(receiving.error)


@pytest.mark.parametrize("peer", NETCATS)
def test_to_a_plain_netcat(places, space, peer):
    require(shutil.which(peer), f"{peer} is not installed")
    here, there = places
    file = made(here / "file", 3_000_000)

    def talk():
        with open(there / "got", "wb") as sink:
            netcat = subprocess.Popen(
                [*NETCATS[peer][1], "127.0.0.1", "5000"], stdin=subprocess.DEVNULL, stdout=sink
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                sent = send(str(file), "127.0.0.1:5000", plain=True)
                break
            except PortsideError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        netcat.wait(10)
        return sent.confirmed, sent.sha256

    assert space.call(talk) == (False, hashlib.sha256(file.read_bytes()).hexdigest())
    assert (there / "got").read_bytes() == file.read_bytes()


SECURE_NETCATS = {
    "ncat": (["ncat", "--ssl"], ["ncat", "-l", "--ssl", "--recv-only"]),
    "openssl": (["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect"], None),
}


@pytest.mark.parametrize("peer", SECURE_NETCATS)
def test_from_a_plain_netcat_over_tls(places, peer):
    """Ncat ends without close_notify, openssl with it; a letter at a line's beginning is a command to openssl."""
    require(shutil.which(peer), f"{peer} is not installed")
    here, there = places
    file = here / "file"
    file.write_bytes(random.Random(1).randbytes(1_500_000).hex().encode())
    receiving = Receiving(there / "got", tls=True)
    place = [receiving.target] if peer == "openssl" else receiving.target.split(":")
    with open(file, "rb") as source:
        done = subprocess.run(
            [*SECURE_NETCATS[peer][0], *place], stdin=source, timeout=60, capture_output=True
        )
    got = receiving.end()
    assert got is not None, (receiving.error, done.returncode, done.stderr)
    assert (got.confirmed, got.truncated) == (False, peer == "ncat")
    assert (there / "got").read_bytes() == file.read_bytes()


def test_what_is_cut_off_over_tls_is_told(places):
    """Without close_notify somebody on the way may have ended it (RFC 8446, 6.1): exit 1, whatever was asked for."""
    _, there = places
    receiver = subprocess.Popen(
        [*PORTSIDE, "receive", "--plain", "--tls", "127.0.0.1:0", str(there / "got")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    host, port = receiver.stderr.readline().split()[2].split(":")
    receiver.stderr.readline()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection((host, int(port)))) as client:
        client.sendall(b"half of it")
    _, err = receiver.communicate(timeout=60)
    assert receiver.returncode == 1
    assert "ended without close_notify" in err


def test_to_a_plain_netcat_over_tls(places, space, tmp_path):
    require(shutil.which("ncat"), "ncat is not installed")
    here, there = places
    file = made(here / "file", 3_000_000)
    certified = Certified("x")
    path = certified.file(tmp_path)

    def talk():
        with open(there / "got", "wb") as sink:
            words = [*SECURE_NETCATS["ncat"][1], "--ssl-cert", path, "--ssl-key", path, "127.0.0.1", "5001"]
            netcat = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sink)
        tls = Tls(ca=path, name="localhost")
        deadline = time.monotonic() + 30
        while True:
            try:
                sent = send(str(file), "127.0.0.1:5001", plain=True, tls=tls)
                break
            except PortsideError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        netcat.wait(60)
        return sent.confirmed, sent.sha256

    assert space.call(talk) == (False, hashlib.sha256(file.read_bytes()).hexdigest())
    assert (there / "got").read_bytes() == file.read_bytes()


def test_one_side_with_tls_and_the_other_without(places):
    here, there = places
    file = str(made(here / "file", 3_000_000))
    receiving = Receiving(there, tls=True)
    with pytest.raises(NotSupported, match="the receiver takes TLS alone; give its --pin"):
        send(file, receiving.target)
    netcat = subprocess.run(
        ["nc.openbsd", "-N", *receiving.target.split(":")], input=b"hello", timeout=60, capture_output=True
    )
    assert netcat.stdout == wire.TLS_ONLY
    assert receiving.refused == ["it speaks no TLS"] * 2
    assert send(file, receiving.target, **receiving.protection).confirmed
    receiving.end()
    receiving = Receiving(there, overwrite=True)
    with pytest.raises(NotSupported, match="no TLS is spoken there"):
        send(file, receiving.target, tls=True)
    receiving.end()
    with pytest.raises(BadRequest, match="take the code or TLS"):
        send(file, receiving.target, tls=True, code="aaaa-bbbb")


def test_the_commands(places):
    """As typed: the code that is printed, the checksum of both, exit codes; and what is refused."""
    here, there = places
    file = made(here / "file", 100_000)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    receiver = subprocess.Popen(
        [*PORTSIDE, "receive", "127.0.0.1:0", str(there), "--new-code"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    target = receiver.stderr.readline().split()[2]
    code = receiver.stderr.readline().removeprefix("Code: ").strip()
    sender = subprocess.run(
        [*PORTSIDE, "send", str(file), target, "--code", code], capture_output=True, text=True, timeout=30
    )
    out, err = receiver.communicate(timeout=30)
    assert (sender.returncode, sender.stderr, receiver.returncode, err) == (0, "", 0, "")
    assert f"sha256 {digest} confirmed" in sender.stdout
    assert f"received {there}/file: 100000 bytes" in out
    refused = subprocess.run(
        [*PORTSIDE, "send", str(file), target], capture_output=True, text=True, timeout=30
    )
    assert refused.returncode == 2
    assert "refused" in refused.stderr


def test_the_commands_over_tls(places):
    """As typed: the pin that is printed is what the sender needs; another is refused, and the receiver waits on."""
    here, there = places
    file = made(here / "file", 100_000)
    receiver = subprocess.Popen(
        [*PORTSIDE, "receive", "--tls", "127.0.0.1:0", str(there)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    target = receiver.stderr.readline().split()[2]
    pin = receiver.stderr.readline().removeprefix("Pin: ").strip()
    refused = [
        (["--tls"], "the certificate is not good: self-signed certificate; name its authority"),
        (["--pin", "sha256:" + "0" * 64], f"its key is not the pinned one but {pin}"),
        (["--pin", "sha256:1"], "it is none; write sha256: and 64 hexadecimal digits"),
        (["--tls", "--key", "/nonexistent"], "a key is of a certificate; name it with --cert"),
    ]
    for words, reason in refused:
        done = subprocess.run(
            [*PORTSIDE, "send", *words, str(file), target], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert reason in done.stderr
    sender = subprocess.run(
        [*PORTSIDE, "send", "--pin", pin, str(file), target], capture_output=True, text=True, timeout=60
    )
    out, err = receiver.communicate(timeout=60)
    assert (sender.returncode, sender.stderr, receiver.returncode) == (0, "", 0)
    refused = [line.rpartition(": ")[2] for line in err.splitlines()]
    assert refused in (["unknown ca", end] for end in ("the peer hung up", "connection reset by peer"))
    assert f"received {there}/file: 100000 bytes" in out


def test_without_openssl_a_certificate_must_be_named(places, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(commands, "PATH", "")
    with pytest.raises(
        NotSupported, match="'openssl' is not installed; install openssl, or name a certificate"
    ):
        receive("127.0.0.1:0", str(places[1]), tls=True)


def test_interrupted_says_nothing_more(places):
    receiver = subprocess.Popen(
        [*PORTSIDE, "receive", "127.0.0.1:0", str(places[1])], stderr=subprocess.PIPE, text=True
    )
    receiver.stderr.readline()
    receiver.send_signal(signal.SIGINT)
    _, err = receiver.communicate(timeout=20)
    assert (receiver.returncode, err) == (130, "")


def test_memory_stays_flat(places):
    here, there = places
    with open(here / "big", "wb") as file:
        for _ in range(60):
            file.write(os.urandom(1 << 20))
    receiving = Receiving(there)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send(str(here / "big"), receiving.target)
    receiving.end()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 25_000
