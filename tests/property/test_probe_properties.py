"""Any text is a target, a shard, a goal, a checkpoint, a ranking, or our error; sets of addresses are sets."""

from __future__ import annotations

import json
import tempfile
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from portside.cli import scan_nmap
from portside.errors import BadReply, BadRequest
from portside.ports.number import Range
from portside.ports.top import parse_ranking
from portside.probe import checkpoint
from portside.probe.goals import parse_goals
from portside.probe.method import Options
from portside.probe.order import Left, Order, Permutation, Shard, parse_shard
from portside.probe.plan import Part, Plan
from portside.probe.records import STATES, Result, icmp_reason
from portside.probe.scan import Progress
from portside.probe.space import Addresses, Block, Space
from portside.probe.targets import parse_targets, words_of
from portside.wire.errqueue import extended_error

WORDS = st.text(alphabet="0123456789.,-*/:%[]abcdefx# \n", max_size=30) | st.text(max_size=30)


def resolve(name, _width):
    return [b"\xc0\x00\x02\x01"] if len(name) % 2 else []


@settings(deadline=None)
@given(WORDS)
def test_any_word_is_targets_or_our_error(word):
    try:
        found = parse_targets([word], resolve).addresses
    except BadRequest:
        return
    assert found.size >= 1
    assert all(block.first <= block.last < 1 << 8 * block.width for block in found.blocks)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=4))
def test_octet_lists_mean_what_they_say(pairs):
    text = ",".join(f"{min(pair)}-{max(pair)}" for pair in pairs)
    wanted = sorted({octet for pair in pairs for octet in range(min(pair), max(pair) + 1)})
    for word, base, step in (
        (f"10.0.0.{text}", 10 << 24, 1),
        (f"10.{text}.7.0-255", (10 << 24) + (7 << 8), 1 << 16),
    ):
        found = parse_targets([word], resolve).addresses
        firsts = [number for block in found.blocks for number in range(block.first, block.last + 1)]
        assert [number for number in firsts if step == 1 or number & 255 == 0] == [
            base + step * one for one in wanted
        ]


BLOCKS = st.lists(
    st.builds(
        lambda first, length, zone: Block(4, first, first + length, zone),
        st.integers(0, 60), st.integers(0, 20), st.sampled_from(["", "a", "b"]),
    ),
    max_size=6,
)  # fmt: skip


def members(blocks):
    return {(block.zone, number) for block in blocks for number in range(block.first, block.last + 1)}


@settings(deadline=None)
@given(BLOCKS, BLOCKS)
def test_addresses_are_sets(some, others):
    one, other = Addresses(some), Addresses(others)
    assert members(one.blocks) == members(some)
    out = members(others)
    left = {(zone, number) for zone, number in members(some) if not {(zone, number), ("", number)} & out}
    assert members(one.without(other).blocks) == left
    assert members(one.within(other).blocks) == members(some) - left
    assert one.size == len(members(some))
    for place in range(one.size):
        raw, zone = one.at(place)
        assert one.place(raw, zone) == place


@settings(deadline=None)
@given(st.integers(1, (1 << 63) - 1), st.integers(0, (1 << 64) - 1), st.data())
def test_permutation_turns_around(size, seed, data):
    made = Permutation(size, seed)
    place = data.draw(st.integers(0, size - 1))
    number = made.at(place)
    assert 0 <= number < size
    assert made.place(number) == place


@settings(deadline=None)
@given(BLOCKS, st.integers(1, 5), st.data())
def test_orders_tell_every_probe_once(blocks, shards, data):
    space = Space("tcp", Addresses(blocks), [Range(5, 6), Range(9, 9)])
    told = []
    for number in range(1, shards + 1):
        order = Order(space, 3, Shard(number, shards))
        told += [probe[1:] for probe in order.probes(Left())]
        stop = data.draw(st.integers(0, order.size))
        undone = (
            tuple(sorted(data.draw(st.sets(st.integers(0, max(0, stop - 1)), max_size=3)))) if stop else ()
        )
        rest = list(order.places(Left(stop, undone)))
        assert set(rest) | (set(range(stop)) - set(undone)) == set(range(order.size))
        assert len(rest) == len(set(rest))
    assert sorted(told) == sorted(space.at(number) for number in range(space.size))


@settings(deadline=None)
@given(WORDS)
def test_any_text_is_a_shard_or_our_error(text):
    try:
        shard = parse_shard(text)
    except BadRequest:
        return
    assert 1 <= shard.number <= shard.count


@settings(deadline=None)
@given(
    st.lists(
        WORDS | st.sampled_from(["tcp://", "unix:", "db:1", "::1", "80-90", "http://a/"]),
        min_size=1,
        max_size=3,
    )
)
def test_any_words_are_goals_or_our_error(words):
    try:
        found = parse_goals(words)
    except BadRequest:
        return
    assert all(goal.socket_path or goal.kind == "file" or 1 <= goal.port <= 65535 for goal in found)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_ranking_or_our_error(text):
    try:
        assert all(0 <= port <= 65535 for port in parse_ranking(text, "tcp"))
    except BadRequest:
        pass


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_file_is_words(text):
    assert all(word and not set(word) & set(" \t\n#") for word in words_of(text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.data())
def test_any_change_of_a_checkpoint_is_read_or_refused(data):
    plan = Plan(Addresses([Block(4, 1, 4)]), (Part("tcp", (Range(1, 9),), ("connect",)),), Options(), 1)
    whole = checkpoint.to_json(checkpoint.Checkpoint(plan, (Left(1, (0,)),), ((("open", "syn-ack", 1),),)))
    holder, key = whole, data.draw(st.sampled_from(sorted(whole)))
    if key in ("options", "parts"):
        holder = whole["options"] if key == "options" else whole["parts"][0]
        key = data.draw(st.sampled_from(sorted(holder)))
    holder[key] = data.draw(JSON)
    with tempfile.NamedTemporaryFile("w") as file:
        json.dump(whole, file)
        file.flush()
        try:
            found = checkpoint.read(file.name)
        except BadRequest:
            return
    for part, left in zip(found.plan.parts, found.left, strict=True):
        size = found.plan.space(part).size
        assert 0 <= left.next <= size
        assert all(0 <= place <= size for place in left.places)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_control_message_is_an_error_or_ours(data):
    try:
        extended_error(data)
    except BadReply:
        pass


@settings(deadline=None)
@given(st.sampled_from([4, 16]), st.integers(0, 255), st.integers(0, 255))
def test_every_icmp_error_has_a_reason(width, kind, code):
    assert icmp_reason(width, kind, code)


RESULTS = st.lists(
    st.builds(
        Result, st.sampled_from(["192.0.2.1", "2001:db8::1", "fe80::1%lo"]), st.just("tcp"), st.integers(0, 65535),
        st.sampled_from(STATES), st.text(max_size=8), source=st.text(max_size=8), target=st.text(max_size=8),
        service=st.text(max_size=8), banner=st.text(max_size=8),
    ),
    max_size=40,
)  # fmt: skip


@settings(deadline=None)
@given(RESULTS, st.text(max_size=20))
def test_any_result_is_well_formed_xml_and_one_grepable_line(results, words):
    plan = Plan(Addresses([Block(4, 1, 4)]), (Part("tcp", (Range(1, 100),), ("connect",)),), Options(), 1)
    hosts = scan_nmap.Hosts(plan)
    hosts.add(results)
    now = Progress(400, 400, 400, 0, 400, 0, 0, 0, 1, (), 1.0, (), ("connect",))
    run = scan_nmap.Run(plan, now, 0.0, words, lambda port, transport: "a&b<")
    found = hosts.finished(True)
    document = ElementTree.fromstring("".join(scan_nmap.xml(found, run)))
    told = sum(1 for _ in document.iter("port")) + sum(
        int(one.get("count")) for one in document.iter("extraports")
    )
    assert told >= len([one for host in found for one in host.listed()])
    lines = list(scan_nmap.grepable(found, run))
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
