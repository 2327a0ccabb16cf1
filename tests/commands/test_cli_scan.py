"""What a scan says of itself: the moving line, the summary, how sure it is; nmap's forms over made-up results."""

from __future__ import annotations

from portside.cli import scan_nmap, scan_text
from portside.ports.number import Range
from portside.probe.method import Options
from portside.probe.plan import Part, Plan
from portside.probe.records import Result
from portside.probe.scan import Progress
from portside.probe.space import Addresses, Block


def progress(states, total=None, answered=None, late=0, seconds=2.0, sent=None):
    decided = sum(times for _, _, times in states)
    silent = sum(times for _, reason, times in states if reason == "no-response")
    return Progress(
        total=decided if total is None else total,
        decided=decided,
        sent=decided if sent is None else sent,
        retried=0,
        answered=decided - silent if answered is None else answered,
        late=late,
        local=0,
        dropped=0,
        open=sum(times for state, _, times in states if state == "open"),
        states=tuple(states),
        seconds=seconds,
        notes=(),
        methods=("connect",),
    )


def test_moving_line():
    now = progress([("open", "syn-ack", 3), ("closed", "reset", 97)], total=400, late=1, sent=220)
    assert scan_text.progress_text(now) == " 25%, 110/s, open 3, left 300, loss 1.0%, 6.00 s to go"
    assert scan_text.progress_text(progress([], total=0, seconds=0.0)) == "100%, 0/s, open 0, left 0"


def told(now, shown=None, tries=3):
    return list(scan_text.summary(now, shown or {}, 1, tries))


def test_sure_when_everything_answered():
    lines = told(progress([("closed", "reset", 9), ("open", "syn-ack", 1)]), {("open", "syn-ack"): 1})
    assert lines == [
        "10 ports of 1 host probed in 2.00 s by connect, 1 open",
        "not shown: 9 closed (reset)",
        "sure: every probe was answered",
    ]


def test_silence_is_weighed_by_the_loss_that_was_seen():
    quiet = progress([("filtered", "no-response", 5), ("closed", "reset", 95)])
    assert "no loss was seen" in told(quiet)[-1]
    lossy = progress([("filtered", "no-response", 5), ("closed", "reset", 995)], late=398)
    assert "the way loses 40.0%, so about 64 of them may have been missed" in told(lossy)[-1]
    slightly = progress([("filtered", "no-response", 5), ("closed", "reset", 995)], late=10)
    assert "less than one of them may have been missed" in told(slightly)[-1]
    dead = progress([("filtered", "no-response", 1)])
    assert told(dead, tries=1)[-1] == (
        "1 port gave no answer in 1 try: filtered, or no such host; nothing answered at all, so loss cannot be told"
    )


def test_what_could_not_be_asked_is_said():
    lines = told(progress([("unknown", "local-error", 2)]))
    assert "2 ports could not be asked from here: nothing is known of them" in lines
    assert not any(line.startswith("sure") for line in lines)


def test_an_unfinished_scan_is_not_sure():
    assert not any(line.startswith("sure") for line in told(progress([("closed", "reset", 5)], total=9)))


def test_addresses_sort_by_number():
    texts = ["2001:db8::1", "10.0.0.10", "10.0.0.9", "fe80::1%b", "fe80::1%a", "9.255.0.1"]
    assert sorted(texts, key=scan_text.address_key) == [
        "9.255.0.1", "10.0.0.9", "10.0.0.10", "2001:db8::1", "fe80::1%a", "fe80::1%b",
    ]  # fmt: skip


def hosts_of(results, ports=1000, complete=True):
    plan = Plan(Addresses([Block(4, 1, 9)]), (Part("tcp", (Range(1, ports),), ("connect",)),), Options(), 1)
    made = scan_nmap.Hosts(plan)
    made.add(results)
    return made.finished(complete)


def test_a_host_that_said_nothing_is_down():
    assert hosts_of([Result("0.0.0.1", "tcp", 1, "filtered", "no-response")]) == []


def test_what_a_host_left_unsaid_is_worked_out():
    results = [Result("0.0.0.1", "tcp", port, "closed", "conn-refused") for port in range(1, 101)]
    results.append(Result("0.0.0.1", "tcp", 200, "open", "syn-ack"))
    (host,) = hosts_of(results)
    assert [one.port for one in host.listed()] == [200]
    assert sorted(host.ignored()) == ["closed", "filtered"]
    assert (host.of_state("closed"), host.of_state("filtered")) == (100, 899)
    (host,) = hosts_of(results, complete=False)
    assert host.of_state("filtered") == 0, "an interrupted scan does not know"


def test_few_of_a_state_are_listed():
    results = [Result("0.0.0.1", "tcp", port, "closed", "conn-refused") for port in range(1, 26)]
    assert len(hosts_of(results)[0].listed()) == 25
    results.append(Result("0.0.0.1", "tcp", 99, "closed", "conn-refused"))
    assert hosts_of(results)[0].listed() == []
