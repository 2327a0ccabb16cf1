"""why: who stands in the way of a bind, which route refuses, full tables; over made-up scenes."""

from __future__ import annotations

import errno

import pytest

from portside.errors import BadReply, BadRequest
from portside.ports.number import HostRanges, Range
from portside.see import why
from portside.see.records import Backlog, Endpoint, Owner, Process, Socket
from portside.see.why import binding, limits, local, remote, ways
from portside.see.why.scene import Scene
from portside.see.why.steps import FAILED, PASSED, UNKNOWN
from portside.system import attempt
from portside.system.attempt import Attempt, Target
from portside.system.host import Host
from portside.wire.errqueue import SOCK_EXTENDED_ERR, ExtendedError, extended_error
from portside.wire.routes import RTN_UNREACHABLE, Route


def socket(
    address="0.0.0.0", state="listen", *, v6only=None, protocol="tcp", pid=7, uid=1000, port=8080, **facts
):
    family = "inet6" if ":" in address else "inet"
    owners = (Owner(pid, 3, Process(pid, "web", uid=uid, user="alice")),) if pid else ()
    return Socket(
        family, "stream", protocol, state, Endpoint(address, port, "any", "", v6only), Endpoint("192.0.2.9", 443),
        owners=owners, **facts,
    )  # fmt: skip


def scene(*sockets, **facts):
    return Scene(8080, ("tcp",), sockets, ranges=HostRanges(), **facts)


@pytest.mark.parametrize(
    ("bound", "v6only", "target", "overlaps"),
    [
        ("0.0.0.0", None, "0.0.0.0", True),
        ("127.0.0.1", None, "0.0.0.0", True),
        ("0.0.0.0", None, "127.0.0.1", True),
        ("127.0.0.1", None, "192.0.2.1", False),
        ("::", False, "0.0.0.0", True),
        ("::", False, "192.0.2.1", True),
        ("::", True, "0.0.0.0", False),
        ("::", True, "::", True),
        ("::1", True, "0.0.0.0", False),
        ("0.0.0.0", None, "::", False),
        ("::ffff:192.0.2.1", None, "192.0.2.1", True),
        ("::ffff:192.0.2.1", None, "::", False),
        ("fe80::1", None, "fe80::1%eth0", True),
    ],
)
def test_what_overlaps_with_a_bind(bound, v6only, target, overlaps):
    one = socket(bound, v6only=v6only)
    assert binding.culprits(scene(one), Target(target, 8080)) == ([one] if overlaps else [])


def test_the_listener_is_named_before_its_connections():
    listener, shadow = socket(), socket(state="time-wait", pid=0)
    step = binding.explain(
        scene(shadow, listener), Target("0.0.0.0", 8080), errno.EADDRINUSE, errno.EADDRINUSE
    )
    assert step.outcome == FAILED
    assert "web 7 of user alice listens on 0.0.0.0 (any) (and 1 other socket)" in step.evidence


def test_nobody_is_seen_who_has_it():
    step = binding.explain(scene(), Target("0.0.0.0", 8080), errno.EADDRINUSE, errno.EADDRINUSE)
    assert step.outcome == FAILED
    assert "not there when we looked" in step.evidence
    assert not step.mend


@pytest.mark.parametrize(
    ("number", "outcome", "words"),
    [
        (errno.EACCES, FAILED, "security module"),
        (errno.EPERM, FAILED, "cgroup"),
        (errno.EAFNOSUPPORT, UNKNOWN, "no IPv6"),
        (errno.ENOMEM, UNKNOWN, "ENOMEM"),
        (0, PASSED, "can be bound"),
    ],
)
def test_what_bind_may_answer(number, outcome, words):
    step = binding.explain(scene(), Target("0.0.0.0", 8080), number, number)
    assert (step.outcome, words in step.evidence) == (outcome, True)


def test_some_of_the_holders_are_stopped():
    steps = {one.name: one for one in local.steps(scene(socket(pid=7), socket(pid=8), stopped=(8,)))}
    assert steps["owner"].outcome == UNKNOWN
    assert steps["owner"].mend.endswith("kill -CONT 8")


def test_a_hidden_holder_is_not_said_to_run():
    hidden = socket(pid=0, owner_gap="permission", uid=0, user="root")
    assert {one.name: one.outcome for one in local.steps(scene(hidden))}["owner"] == UNKNOWN


def test_a_unit_is_restarted_where_its_queue_is_full():
    full = socket(backlog=Backlog(129, 128), unit="web.service", cookie=5)
    steps = {one.name: one for one in local.steps(scene(full, dropped=((5, 9),), dropping=(5,)))}
    assert steps["backlog"].mend.endswith("systemctl restart web.service")
    assert steps["overflow"].outcome == FAILED
    quiet = {
        one.name: one for one in local.steps(scene(full.replace(backlog=Backlog(0, 128)), dropped=((5, 9),)))
    }
    assert (quiet["backlog"].outcome, quiet["overflow"].outcome) == (PASSED, PASSED)
    assert "9 connections dropped before" in quiet["overflow"].evidence


def host(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / "proc" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Host(root=str(tmp_path), netlink=None, bpf=False)


@pytest.mark.parametrize(("count", "outcome"), [("999\n", PASSED), ("1000\n", FAILED)])
def test_a_full_tracking_table(tmp_path, count, outcome):
    prefix = "sys__net__netfilter__nf_conntrack_"
    made = host(tmp_path, **{prefix + "count": count, prefix + "max": "1000\n"})
    step = limits.tracking(Target("192.0.2.9", 443), made)
    assert step.outcome == outcome
    assert step.mend.endswith("nf_conntrack_max=2000") is (outcome == FAILED)


def test_nothing_is_tracked(tmp_path):
    assert limits.tracking(Target("192.0.2.9", 443), host(tmp_path)).outcome == PASSED


def test_the_hosts_files_are_used_up(tmp_path):
    made = host(tmp_path, **{"sys__fs__file-nr": "5000\t0\t5000\n"})
    step = limits.files(Target("192.0.2.9", 443), made)
    assert step.outcome == FAILED
    assert step.mend.endswith("fs.file-max=10000")


def test_reserved_ports_are_no_own_ports():
    ranges = HostRanges(ephemeral=Range(40000, 40009), reserved=(Range(1, 40001), Range(40009, 50000)))
    assert limits._kept(ranges) == 3


def test_a_route_leads_to_what_its_prefix_holds():
    route = Route(2, 24, bytes((192, 0, 2, 0)), b"", 1, RTN_UNREACHABLE, 3, 254)
    assert ways._leads(route, bytes((192, 0, 2, 77)))
    assert not ways._leads(route, bytes((192, 0, 3, 77)))
    assert ways._leads(route.replace(prefix=0, destination=b""), bytes((8, 8, 8, 8)))
    assert ways._place(route) == "192.0.2.0/24"


def test_icmp_errors_are_told_with_code_and_sender(monkeypatch):
    monkeypatch.setattr(ways, "is_own", lambda address: False)
    error = ExtendedError(errno.EHOSTUNREACH, "icmp", 3, 13, "203.0.113.1")
    step = remote._connect(
        Target("192.0.2.9", 443), Attempt(attempt.FAILED, 0.1, errno.EHOSTUNREACH, error), 5
    )
    assert "ICMP type 3 code 13 (communication administratively prohibited) from 203.0.113.1" in step.evidence
    assert dict(step.facts)["icmp"] == {"family": "icmp", "type": 3, "code": 13, "sender": "203.0.113.1"}


def test_an_extended_error_is_read():
    offender = bytes((2, 0, 0, 0, 203, 0, 113, 1)) + bytes(8)
    data = SOCK_EXTENDED_ERR.write(ee_errno=111, ee_origin=2, ee_type=3, ee_code=3) + offender
    assert extended_error(data) == ExtendedError(111, "icmp", 3, 3, "203.0.113.1")
    assert extended_error(data).words == "port unreachable"
    assert extended_error(data[:16]).sender == ""
    assert extended_error(data[:5] + b"\x09" + data[6:]).words == "icmp type 9 code 3"
    with pytest.raises(BadReply):
        extended_error(data[:15])


@pytest.mark.parametrize(("port", "protocol"), [(0, ""), (65536, "tcp"), (80, "sctp")])
def test_what_is_no_port_is_refused(port, protocol):
    with pytest.raises(BadRequest):
        why.why_port(port, protocol)
    with pytest.raises(BadRequest):
        why.why_host("127.0.0.1", port, protocol)
