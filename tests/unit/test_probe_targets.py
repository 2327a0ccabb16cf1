"""The grammar of targets, over a resolver that is a table; plans, safety, checkpoints made of them."""

from __future__ import annotations

import json

import pytest

from portside.errors import BadRequest
from portside.ports.address import format_address, parse_address
from portside.ports.number import Range
from portside.ports.spec import parse_spec
from portside.ports.top import parse_ranking, top_ports
from portside.probe import checkpoint, safety
from portside.probe.method import Options
from portside.probe.order import Left, Shard
from portside.probe.plan import make_plan
from portside.probe.space import Addresses
from portside.probe.targets import parse_targets, words_of

HOSTS = {"both.example": ["192.0.2.9", "2001:db8::9"], "six.example": ["2001:db8::6"]}


def resolve(name, width):
    raws = [parse_address(text) for text in HOSTS.get(name, ())]
    return [raw for raw in raws if width in (0, len(raw))]


def addresses(*words, **options):
    found = parse_targets(words, resolve, **options).addresses
    return [format_address(found.at(place)[0]) for place in range(found.size)]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("192.0.2.4/31", ["192.0.2.4", "192.0.2.5"]),
        ("192.0.2.5/31", ["192.0.2.4", "192.0.2.5"]),
        ("10.0.0-1.1,7", ["10.0.0.1", "10.0.0.7", "10.0.1.1", "10.0.1.7"]),
        ("10.0.0.254-", ["10.0.0.254", "10.0.0.255"]),
        ("10.0.0.-1", ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.3,1-2,2", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("[2001:db8::1]", ["2001:db8::1"]),
        ("2001:db8::/127", ["2001:db8::", "2001:db8::1"]),
        ("both.example", ["192.0.2.9"]),
        ("six.example", ["2001:db8::6"]),
        ("both.example/31", ["192.0.2.8", "192.0.2.9"]),
    ],
)
def test_words(word, expected):
    assert addresses(word) == expected


def test_wide_words_are_few_ranges():
    for word, size, blocks in (
        ("10.*.*.*", 1 << 24, 1),
        ("10.0.*.1-9", 9 * 256, 256),
        ("*.*.*.*", 1 << 32, 1),
    ):
        found = parse_targets([word], resolve).addresses
        assert (found.size, len(found.blocks)) == (size, blocks)


def test_named_twice_is_one():
    assert addresses("192.0.2.1-3", "192.0.2.2/31", "192.0.2.3") == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_excluded():
    assert addresses("192.0.2.0/29", exclude=["192.0.2.1-6"]) == ["192.0.2.0", "192.0.2.7"]
    assert addresses("192.0.2.9", "2001:db8::9", exclude=["both.example"]) == [], (
        "a name out: all its addresses"
    )


def test_families_and_all_addresses():
    assert addresses("both.example", every_address=True) == ["192.0.2.9", "2001:db8::9"]
    assert addresses("both.example", family="6") == ["2001:db8::9"]
    assert addresses("192.0.2.1", "2001:db8::1", family="4") == ["192.0.2.1"]


def test_names_and_zones_are_kept():
    found = parse_targets(["both.example", "fe80::1%eth0"], resolve)
    assert found.names == ((parse_address("192.0.2.9"), "both.example"),)
    assert found.addresses.blocks[-1].zone == "eth0"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("1.2.3", "it has 3 of 4 octets"),
        ("1.2.3.256", "'256' is not an octet"),
        ("1.2.3.9-4", "'9-4' is not"),
        ("1.2.3.4,", "'' is not"),
        ("1.2.3.4/33", "length"),
        ("1.2.3-4.4/24", "do not go with a length"),
        ("fe80::1%", "no interface"),
        ("gone.example", "has no address"),
        ("no host", "neither an address nor a host name"),
        ("", "it has 1 of 4 octets"),
        ("*.*.*.1", "separate ranges"),
    ],
)
def test_no_target(word, reason):
    with pytest.raises(BadRequest, match="read target") as raised:
        addresses(word)
    assert reason in raised.value.reason


def test_words_of_a_file():
    assert list(words_of("a b # c\n\n#d\n  e\tf")) == ["a", "b", "e", "f"]


# safety


def plan(*words, ports="80", **options):
    return make_plan(parse_targets(words, resolve), parse_spec(ports) if ports else None, **options)


def test_wide_ranges_leave_special_purpose_out():
    made = plan("8.0.0.0/6", allowed=True)
    assert parse_address("10.0.0.1") not in made.addresses
    assert parse_address("11.0.0.1") in made.addresses
    assert "special-purpose" in made.notes[0]
    assert plan("10.0.0.0/8").addresses.size == 1 << 24, "what was meant stays"
    assert plan("127.0.0.1").notes == ()


@pytest.mark.parametrize("word", ["8.0.0.0/8", "*.*.*.*", "2600::/64"])
def test_wide_public_ranges_are_refused(word):
    with pytest.raises(BadRequest, match="i-may-scan-this"):
        plan(word)
    assert plan("8.0.0.0/16").addresses.size == safety.MOST_PUBLIC


def test_rate_beyond_the_local_networks_is_modest():
    assert plan("8.8.8.8").options.limit == safety.MODEST_RATE
    assert plan("127.0.0.1").options.limit == 0
    assert plan("8.8.8.8", options=Options(rate=5)).options.limit == 0


def test_nothing_left():
    with pytest.raises(BadRequest, match="no address is left"):
        make_plan(parse_targets(["192.0.2.1"], resolve, exclude=["192.0.2.0/24"]), None)
    with pytest.raises(BadRequest, match="no port is left"):
        plan("192.0.2.1", ports="80", exclude=parse_spec("1-100"))


def test_parts_by_transport():
    made = plan("192.0.2.1", ports="22,U:53,T:80")
    assert [(part.protocol, part.ports, part.methods) for part in made.parts] == [
        ("tcp", (Range(22, 22), Range(80, 80)), ("syn", "connect")),
        ("udp", (Range(53, 53),), ("udp",)),
    ]
    assert plan("192.0.2.1", ports="53", method="udp").parts[0].protocol == "udp"
    for ports, method in (("T:80", "udp"), ("S:80", "auto"), ("80", "fast")):
        with pytest.raises(BadRequest):
            plan("192.0.2.1", ports=ports, method=method)
    holes = plan("192.0.2.1", ports="1-100,200", exclude=parse_spec("10-20,U:50,T:100-200"))
    assert holes.parts[0].ports == (Range(1, 9), Range(21, 99))


# the order of --top


def test_top_is_an_order_of_all_ports():
    def numbers(ranges):
        return [port for each in ranges for port in each]

    for transport in ("tcp", "udp"):
        assert numbers(top_ports(transport, 65535)) == list(range(1, 65536))
        for count in (1, 10, 500):
            assert len(numbers(top_ports(transport, count))) == count
            assert set(numbers(top_ports(transport, count))) < set(numbers(top_ports(transport, count + 1)))
    assert {22, 80, 443} <= set(numbers(top_ports("tcp", 10)))
    assert {53, 123, 161} <= set(numbers(top_ports("udp", 10)))


def test_ranking_of_a_file():
    text = "# a comment\nssh 22/tcp 0.2 # why\nhttp 80/tcp 0.5\ndns 53/udp 0.9\n"
    text += "bad x/tcp 1\nworse 1/tcp x\nlast 70000/tcp 1\n"
    assert list(parse_ranking(text, "tcp")) == [80, 22]
    with pytest.raises(BadRequest, match="no line has the form"):
        top_ports("sctp", 3, text)


# checkpoints


def test_checkpoint_comes_back(tmp_path):
    made = plan("10.0.0.0/30", "both.example", "fe80::1%lo", ports="22,U:53", seed=1 << 63, shard=Shard(2, 3))
    point = checkpoint.Checkpoint(made, (Left(2, (0, 1)), Left()), ((("open", "syn-ack", 1),), ()))
    path = str(tmp_path / "point")
    checkpoint.write(path, point)
    found = checkpoint.read(path)
    assert checkpoint.to_json(found) == checkpoint.to_json(point)
    assert found.plan.addresses.blocks == made.addresses.blocks
    assert (found.left, found.counted, found.plan.options) == (point.left, point.counted, made.options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["point"], "nothing beside it"


def test_checkpoint_of_a_wide_scan_is_small(tmp_path):
    path = tmp_path / "point"
    made = plan("10.0.0.0/8", ports="-")
    checkpoint.write(str(path), checkpoint.Checkpoint(made, (Left(1 << 39),), ((),)))
    assert path.stat().st_size < 1000


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"portside": 1, "kind": "scan-checkpoint"}', "\x00"]
)
def test_no_checkpoint(tmp_path, text):
    path = tmp_path / "point"
    path.write_text(text)
    with pytest.raises(BadRequest, match="resume from"):
        checkpoint.read(str(path))


def test_changed_checkpoint_is_refused_or_read(tmp_path):
    """A value of the wrong kind anywhere is our error, never another."""
    made = plan("10.0.0.0/30", ports="22")
    whole = checkpoint.to_json(checkpoint.Checkpoint(made, (Left(),), ((),)))
    path = tmp_path / "point"
    for key in whole:
        for value in (None, -1, "x", [], {}, [[]], [1]):
            path.write_text(json.dumps(whole | {key: value}))
            try:
                checkpoint.read(str(path))
            except BadRequest:
                pass


def test_missing_checkpoint():
    with pytest.raises(BadRequest, match="no such file"):
        checkpoint.read("/nonexistent/point")


def test_special_purpose_is_what_the_scope_says():
    """What `ports.scope` calls public is in no special-purpose block but for anycast and translation."""
    special = safety.special_purpose()
    for text in ("8.8.8.8", "2600::1", "1.1.1.1", "172.32.0.1", "100.128.0.1"):
        assert Addresses([safety.block_of(text)]).within(special).size == 0
