"""The packet engine's columns, each held against the same thing done one at a time."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest

from portside.ports.number import Range
from portside.probe.method import Counters
from portside.probe.order import Order, Shard
from portside.probe.space import Addresses, Block, Space
from portside.wire.packets import TCP, ethernet, ip, tcp

numpy = pytest.importorskip("numpy")

from portside.probe.packets import answers, pace, transmit  # noqa: E402  # after numpy is known to be there
from portside.probe.packets.build import SynTemplate  # noqa: E402
from portside.probe.packets.chunk import Chunk  # noqa: E402
from portside.probe.packets.expand import Expander, raw  # noqa: E402
from portside.probe.packets.routes import Lane  # noqa: E402
from portside.probe.packets.siphash import siphash13  # noqa: E402

V6 = int.from_bytes(bytes.fromhex("20010db8" + "0" * 24), "big")
BLOCKS = [
    Block(4, (10 << 24) + 250, (10 << 24) + 260),
    Block(4, 0xC0000201, 0xC0000201),
    Block(16, V6, V6 + 40),
]
EDGE = Block(16, V6 + (1 << 64) - 3, V6 + (1 << 64) + 3)
KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)


def order(blocks=None, shard=None):
    ports = [Range(22, 22), Range(80, 90), Range(65_000, 65_535)]
    return Order(Space("tcp", Addresses(blocks or [*BLOCKS, EDGE]), ports), 99, shard)


def chunks(made, places=None, attempts=3):
    everything = numpy.arange(made.size) if places is None else places
    probes = Expander(made).probes(everything)
    return [Chunk(each, 61_000 + at, KEY, attempts) for at, each in enumerate(probes)]


@pytest.mark.parametrize("length", [8, 16, 24])
def test_siphash_is_the_one_python_hashes_bytes_with(length):
    """CPython 3.11 hashes bytes by SipHash-1-3, with a key of zeros if PYTHONHASHSEED=0 (PEP 456)."""
    if sys.hash_info.algorithm != "siphash13":
        pytest.skip(f"this Python hashes by {sys.hash_info.algorithm}")
    data = bytes(range(1, length + 1))
    done = subprocess.run(
        [sys.executable, "-c", f"print(hash(bytes.fromhex('{data.hex()}')))"],
        env=os.environ | {"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = [numpy.array([word], numpy.uint64) for word in struct.unpack(f"<{length // 8}Q", data)]
    assert siphash13((0, 0), words).view(numpy.int64)[0] == int(done.stdout)


@pytest.mark.parametrize("shard", [None, Shard(2, 3)])
def test_expanding_is_what_the_order_says_one_by_one(shard):
    made = order(shard=shard)
    seen = {}
    for probes in Expander(made).probes(numpy.arange(made.size)):
        for place, host, port in zip(probes.places, probes.hosts, probes.ports, strict=True):
            seen[int(place)] = (raw(probes.width, host), int(port))
    expected = {
        place: (made.space.at(made.number(place))[0], made.space.at(made.number(place))[2]) for place in seen
    }
    assert len(seen) == made.size
    assert seen == expected


def test_each_packet_is_the_one_the_codec_writes():
    mac, gateway = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
    for chunk in chunks(order()):
        source = bytes([192, 0, 2, 9]) if chunk.width == 4 else bytes.fromhex("20010db8" + "f" * 24)
        chunk.hardware[:] = numpy.frombuffer(gateway, numpy.uint8)
        for hardware in (mac, b""):
            rows = SynTemplate(source, hardware).build(chunk, numpy.arange(min(1000, chunk.size)))
            for at, row in enumerate(rows[::7]):
                probe = at * 7
                target = raw(chunk.width, chunk.hosts[probe])
                ports = chunk.port, int(chunk.ports[probe])
                numbers = int(chunk.numbers[probe]), 0
                segment = tcp.segment((source, target), ports, tcp.SYN, numbers, tcp.SYN_OPTIONS)
                packet = ip.header(source, target, TCP, len(segment)) + segment
                kind = 0x0800 if chunk.width == 4 else 0x86DD
                assert row.tobytes() == (ethernet.frame(gateway, mac, kind, packet) if hardware else packet)


def test_every_answer_finds_its_probe_and_no_other():
    for chunk in chunks(order()):
        at = chunk.match(chunk.hosts, chunk.ports, chunk.numbers)
        assert (at == numpy.arange(chunk.size)).all()
        for wrong in (
            (chunk.hosts, chunk.ports, chunk.numbers + numpy.uint32(1)),
            (chunk.hosts, chunk.ports ^ numpy.uint16(1), chunk.numbers),
            (chunk.hosts + chunk.hosts.dtype.type(1), chunk.ports, chunk.numbers),
        ):
            assert (chunk.match(*wrong) == -1).all()


def test_probes_whose_numbers_collide_are_still_told_apart():
    """All share one hash, which no key would bring about: the tables overflow into the sorted rest."""
    chunk = chunks(order([BLOCKS[0]]))[0]
    chunk.numbers[:] = 5
    chunk._index()
    found = chunk.match(chunk.hosts[:3], chunk.ports[:3], chunk.numbers[:3])
    assert set(found.tolist()) <= {-1, 0, 1, 2}, "never another's"
    chunk.numbers[:] = numpy.arange(chunk.size) // 2
    chunk._index()
    assert (chunk.match(chunk.hosts, chunk.ports, chunk.numbers) == numpy.arange(chunk.size)).all()


def test_a_probe_is_decided_once():
    chunk = chunks(order())[0]
    assert chunk.decide(numpy.array([4, -1, 4, 2])).tolist() == [0, 3]
    assert chunk.decide(numpy.array([2, 3])).tolist() == [1]
    assert chunk.pending == chunk.size - 3


def test_attempts_follow_each_other_at_a_distance():
    chunk = chunks(order([BLOCKS[1]]), attempts=2)[0]
    size = chunk.size
    at, following = chunk.due(0, 0.0, 100)
    assert (at.tolist(), following) == (list(range(100)), 0.0)
    chunk.sent[at] = 10.0
    assert chunk.due(1, 9.0, 100)[1] == 10.0, "not before the time has passed"
    chunk.decide(numpy.arange(50))
    assert chunk.due(1, 10.0, 30)[0].tolist() == list(range(50, 80)), "what was answered is left out"
    assert chunk.due(1, 10.0, 1000)[0].tolist() == list(range(80, 100)), (
        "the first attempts have come no further"
    )
    assert chunk.due(0, 0.0, size)[0].tolist() == list(range(100, size))
    assert chunk.due(2, 100.0, size)[0].tolist() == list(range(50, 100)), "given up after both"


def test_what_is_no_plain_answer_is_read_as_it_is_or_not_at_all():
    """Rows with IPv4 options, with extension headers, cut short: the columns take none of them for a plain one."""
    segment = tcp.segment((bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1])), (443, 61_001), tcp.RST)
    four = ip.header(bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1]), TCP, len(segment)) + segment
    behind = bytes([TCP, 0]) + bytes(6) + segment
    six = ip.header(bytes(15) + b"\2", bytes(15) + b"\1", 60, len(behind)) + behind
    rows = [four, bytes([0x46]) + four[1:20] + bytes(4) + segment, six, four[:30]]
    data = numpy.zeros((len(rows), answers.KEEP), numpy.uint8)
    for at, row in enumerate(rows):
        data[at, : len(row)] = list(row)
    sizes = numpy.array([len(row) for row in rows], numpy.uint32)
    found, refusals = answers._split(data, sizes, numpy.zeros(len(rows)))
    assert [each.ports.tolist() for each in found] == [[443]]
    assert not refusals


def test_any_bytes_in_the_ring_are_answers_or_nothing():
    random = numpy.random.default_rng(5)
    for _ in range(50):
        data = random.integers(0, 256, (64, answers.KEEP), numpy.uint8)
        data[::2, 0] = random.choice([0x45, 0x60, 0x46, 0x4F, 0], 32)
        data[::3, 9] = 1
        data[::5, 6] = 58
        sizes = random.integers(0, answers.KEEP + 40, 64, numpy.uint32)
        answers._split(data, sizes, numpy.zeros(64))


def test_a_fixed_rate_is_kept_whatever_the_looks_are_apart():
    for rate in (10.0, 997.0, 50_000.0, 1_000_000.0):
        made = pace.Pace(rate, 0.0, 0.0, lambda text: None)
        now, sent, looks = 0.0, 0, (0.0003, 0.011, 0.0007)
        for step in range(20_000):
            now += looks[step % 3]
            allowed = made.allow(now, 1024 * 64)
            made.spend(allowed)
            sent += allowed
        assert abs(sent - rate * now) <= max(rate * 0.02, 1), rate


def test_loss_halves_the_rate_and_says_so():
    said = []
    made = pace.Pace(0.0, 0.0, 0.0, said.append)
    made.begin(0.0, near=True)
    first = made.rate
    made.learn(1.0)
    assert made.rate == 2 * first
    made.learn(2.0, answered=100, late=1)
    assert made.rate == 4 * first, "one in a hundred is a bad line, not our doing"
    made.learn(3.0, answered=1_000_000, late=200_000)
    assert made.rate == 2 * first
    made.learn(4.0, lost=1)
    assert made.rate == first
    made.learn(5.0)
    assert made.rate == pytest.approx(1.05 * first), "from then on carefully"
    made.learn(7.0, answered=10_000, late=2_000)
    assert made.rate == 5_000, "a narrow way: what it let through in a second"
    assert len(said) == 3


@pytest.mark.parametrize("loss", [0.02, 0.04])
def test_a_bad_line_holds_no_rate_down(loss):
    """Chance alone puts a small share of answers over any limit now and then: it must not matter."""
    random = numpy.random.default_rng(5)
    made = pace.Pace(0.0, 200_000.0, 0.0, lambda text: None)
    made.begin(0.0, near=True)
    for moment in range(20):  # the worst beginning: everything came late
        made.learn(0.06 * moment, answered=100, late=100)
    assert made.rate == 500
    now = 1.2
    while made.rate < 100_000 and now < 60:
        now += 0.06
        answered = int(made.rate * 0.06)
        made.learn(now, answered=answered, late=int(random.binomial(answered, loss)))
    assert now < 12, f"{made.rate:.0f} a second after {now:.0f} s"


def test_adapting_stays_below_the_limit():
    made = pace.Pace(0.0, 1500.0, 0.0, lambda text: None)
    for second in range(20):
        made.begin(0.0, near=True) if not second else made.learn(float(second))
        assert made.rate <= 1500


class Door:
    """A sender that keeps what it is given: ports and number of each packet."""

    road, stride, names, place = "xdp", 2048, memoryview(b""), 0

    def __init__(self, room=1 << 10, failure=None):
        self.slots, self.entries = bytearray(self.stride * 1024), bytearray(16 * 1024)
        self.sent, self._room, self._failure = [], room, failure

    def room(self):
        return self._room

    def send(self, count):
        if self._failure:
            raise self._failure
        rows = numpy.frombuffer(self.slots, numpy.uint8).reshape(-1, self.stride)[:count, 34:42]
        self.sent += [row.tobytes() for row in rows]
        return count

    def close(self):
        pass


def transmitter(monkeypatch, *doors):
    left = iter(doors)
    monkeypatch.setattr(transmit, "open_sender", lambda *_: next(left))
    monkeypatch.setattr(transmit.os, "sched_getaffinity", lambda _: set(range(len(doors))))
    counters = Counters(0)
    return transmit.Transmitter([Lane(1, bytes(4), b"\2\0\0\0\0\1")], counters), counters


@pytest.mark.parametrize("doors", [1, 2])
def test_each_packet_goes_through_one_door(monkeypatch, doors):
    doors = [Door(room=100 - 27 * at) for at in range(doors)]
    out, _ = transmitter(monkeypatch, *doors)
    chunk = chunks(order(BLOCKS[:1]))[0]
    assert len(out.send(chunk, numpy.arange(chunk.size))) == 0
    out.close()
    ports = [struct.unpack(">HHI", each) for door in doors for each in door.sent]
    wanted = {
        (chunk.port, int(port), int(number)) for port, number in zip(chunk.ports, chunk.numbers, strict=True)
    }
    assert len(ports) == chunk.size
    assert set(ports) == wanted
    assert chunk.sent.all()


def test_what_a_door_refuses_is_told_whoever_went_through_it(monkeypatch):
    """Only the first can, or only the second: the rows refused are those that the other has not sent."""
    for broken in (0, 1):
        doors = [Door(failure=PermissionError(1, "no") if at == broken else None) for at in (0, 1)]
        out, counters = transmitter(monkeypatch, *doors)
        chunk = chunks(order(BLOCKS[:1]))[0]
        refused = out.send(chunk, numpy.arange(chunk.size))
        out.close()
        assert len(set(refused.tolist())) == len(refused) == counters.local
        assert len(refused) + len(doors[1 - broken].sent) == chunk.size


def test_a_failure_of_the_second_thread_is_raised(monkeypatch):
    out, _ = transmitter(monkeypatch, Door(), Door())
    chunk = chunks(order(BLOCKS[:1]))[0]

    def fail(*_):
        raise ValueError("broken")

    monkeypatch.setattr(transmit._Batch, "send", fail)
    with pytest.raises(ValueError, match="broken"):
        out.send(chunk, numpy.arange(chunk.size))
    out._second.start(fail)
    with pytest.raises(ValueError, match="broken"):
        out._second.result()
    out.close()
