"""Every probe exactly once: the permutation, its shards, what a stopped run leaves, and the numbering under them."""

from __future__ import annotations

import itertools

import pytest

from portside.errors import BadRequest
from portside.ports.number import Range
from portside.probe.order import Left, Order, Permutation, Shard, parse_shard
from portside.probe.space import Addresses, Block, Space


def space():
    blocks = [Block(4, 10 << 24, (10 << 24) + 255), Block(16, 1, 3, "lo")]
    return Space("tcp", Addresses(blocks), [Range(80, 80), Range(8000, 8099)])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 255, 256, 257, 65_535, 65_537])
def test_permutation_is_one(size):
    made = Permutation(size, seed=size)
    numbers = [made.at(place) for place in range(size)]
    assert sorted(numbers) == list(range(size))
    assert all(made.place(number) == place for place, number in enumerate(numbers))


@pytest.mark.slow
def test_bitmap_over_2_to_the_24():
    """All of about 2^24 numbers come once; a size that fits no power of two walks its cycles."""
    numpy = pytest.importorskip("numpy")
    size = (1 << 24) - 12_345
    made = Permutation(size, seed=7)
    seen = numpy.zeros(size, dtype=bool)
    for start in range(0, size, 1 << 20):
        places = numpy.arange(start, min(start + (1 << 20), size), dtype=numpy.uint64)
        seen[_step(made, places, size)] = True
    assert seen.all(), "as many numbers as places, and all seen: each once"


def _step(made, numbers, size):
    """What a numpy engine does: the network once, and again for what fell outside."""
    numbers = made.forward(numbers)
    while (outside := numbers >= size).any():
        numbers[outside] = made.forward(numbers[outside])
    return numbers


def test_arrays_and_ints_agree():
    numpy = pytest.importorskip("numpy")
    for size in (10, 1000, 1 << 40, (1 << 63) - 5):
        made = Permutation(size, seed=3)
        places = [0, 1, size // 2, size - 1]
        array = _step(made, numpy.array(places, dtype=numpy.uint64), size)
        assert array.tolist() == [made.at(place) for place in places]


def test_order_looks_like_none():
    """Neighbours in the order are not neighbours in the space, and another seed gives another order."""
    made = Permutation(1 << 16, seed=1)
    numbers = [made.at(place) for place in range(2000)]
    near = sum(abs(one - other) < 256 for one, other in itertools.pairwise(numbers))
    assert near < 60  # 16 expected of a random order
    steps = {other - one for one, other in itertools.pairwise(numbers)}
    assert len(steps) > 1900
    assert numbers != [Permutation(1 << 16, seed=2).at(place) for place in range(2000)]


def test_shards_cover_all_once():
    whole = space()
    seen = []
    for number in range(1, 8):
        order = Order(whole, 5, Shard(number, 7))
        numbers = [order.number(place) for place in range(order.size)]
        assert [order.place(each) for each in numbers] == list(range(order.size))
        seen += numbers
    assert sorted(seen) == list(range(whole.size))
    assert Order(whole, 5, Shard(1, 7)).place(Order(whole, 5, Shard(2, 7)).number(0)) is None


def test_more_shards_than_probes():
    tiny = Space("tcp", Addresses([Block(4, 1, 1)]), [Range(1, 3)])
    sizes = [Order(tiny, 0, Shard(number, 5)).size for number in range(1, 6)]
    assert sizes == [1, 1, 1, 0, 0]


def test_resuming_leaves_nothing_out():
    order = Order(space(), 9)
    done = set(range(500)) - {17, 488}
    left = Left(500, (17, 488))
    rest = list(order.places(left))
    assert sorted(done | set(rest)) == list(range(order.size))
    assert len(rest) == len(set(rest)) == order.size - len(done)
    first = next(order.probes(left))
    assert first == (17, *order.space.at(order.number(17)))


def test_space_numbers_both_ways():
    whole = space()
    assert whole.size == 259 * 101
    for number in range(whole.size):
        address, zone, port = whole.at(number)
        assert whole.number(address, port, zone) == number
    assert whole.number(bytes([10, 0, 1, 0]), 80) is None
    assert whole.number(bytes([10, 0, 0, 0]), 81) is None
    assert whole.number(bytes(15) + b"\1", 80) is None, "of another zone"


def test_space_of_a_network_times_all_ports_is_two_ranges():
    huge = Space("tcp", Addresses([Block(4, 10 << 24, (11 << 24) - 1)]), [Range(0, 65535)])
    assert huge.size == 1 << 40
    order = Order(huge, 1)
    places = [0, 1, order.size - 1]
    assert [order.place(order.number(place)) for place in places] == places


def test_endless_space_is_refused():
    with pytest.raises(BadRequest, match="would never end"):
        Space("tcp", Addresses([Block(16, 0, (1 << 64) - 1)]), [Range(1, 2)])


def test_addresses_are_a_set():
    made = Addresses([Block(4, 5, 9), Block(4, 1, 4), Block(16, 7, 7), Block(4, 8, 20), Block(4, 22, 22)])
    assert made.blocks == [Block(4, 1, 20), Block(4, 22, 22), Block(16, 7, 7)]
    holes = Addresses([Block(4, 3, 4), Block(4, 20, 30), Block(16, 7, 7)])
    assert made.without(holes).blocks == [Block(4, 1, 2), Block(4, 5, 19)]
    assert made.within(holes).blocks == [Block(4, 3, 4), Block(4, 20, 20), Block(4, 22, 22), Block(16, 7, 7)]
    zoned = Addresses([Block(16, 1, 9, "lo"), Block(16, 1, 9, "eth0")])
    assert zoned.without(Addresses([Block(16, 2, 8), Block(16, 1, 1, "lo")])).blocks == [
        Block(16, 1, 1, "eth0"), Block(16, 9, 9, "eth0"), Block(16, 9, 9, "lo"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/", "/2", "a/b", "1/2/3", "-1/3"])
def test_no_shard(text):
    with pytest.raises(BadRequest):
        parse_shard(text)


def test_shard():
    assert parse_shard("3/10") == Shard(3, 10)
    assert str(Shard(3, 10)) == "3/10"
