"""The command line inside the world: what it prints there as root and as an ordinary user."""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import re
import sys
from typing import NamedTuple

import pytest
from tests.live.conftest import NOBODY
from tests.support import require

import portside
from portside.cli import main, socket_table
from portside.cli.output import Output
from portside.cli.socket_stream import Stream
from portside.see import query
from portside.see.snapshot import take
from portside.testing.namespaces import Namespace, become

HOSTILE = {
    "new\\nline": 26102,
    "\\x1b[31mred": 26103,
    "\\xff\\xfe\\x80": 26106,
    "tab\\there": 26108,
    "a) S 1 (b": 26101,
}


class Said(NamedTuple):
    """What a run of the command line said."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The cells of each line below the header; no cell of these tests holds two blanks."""
        return [re.split(r" {2,}", line) for line in self.out.splitlines()[1:]]

    def owners(self) -> dict[str, str]:
        """PORT -> OWNER of the usual table."""
        return {row[0]: row[4] for row in self.rows}


def run(space: Namespace, *words: str, uid: int | None = None) -> Said:
    """Run the command line in a child inside `space`, as `uid`."""
    return Said(*space.call(_inside, words, uid))


def _inside(words: tuple[str, ...], uid: int | None) -> tuple[int, str, str]:
    if uid is not None:
        step_down(uid)
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    code = main(list(words))
    return code, sys.stdout.getvalue(), sys.stderr.getvalue()


def step_down(uid: int) -> None:
    """Become `uid`, with everything imported that this user may not be able to read."""
    for module in pkgutil.walk_packages(portside.__path__, "portside."):
        if not module.name.endswith(("__main__", ".holder")):
            importlib.import_module(module.name)
    list(portside.sockets().gaps)
    become(uid)


@pytest.fixture(scope="module")
def listed(world):
    return run(world.space)


# the list


def test_each_open_port_is_one_row_of_each_service(world, listed):
    expected = set()
    for entry in world.entries:
        if entry.local and entry.local[1] and open_here(world, entry):
            protocol = "tcp" if entry.protocol == "mptcp" else entry.protocol
            expected.add((f"{entry.local[1]}/{protocol}", entry.state))
    shown = [row[0] for row in listed.rows]
    assert listed.code == 0
    assert sorted(shown) == sorted(port for port, _ in expected)


def open_here(world, entry) -> bool:
    """Whether an entry makes its port open in the world's own namespace."""
    away = {"tcp listen, other network namespace"}
    if not entry.visible or entry.what in away or entry.netns not in (0, world.space.inode):
        return False
    streams = entry.protocol in ("tcp", "mptcp") and entry.state in ("listen", "bound-inactive")
    return streams or (entry.protocol in ("udp", "udplite") and entry.state == "unconnected")


def test_services_are_merged(listed):
    owners = listed.owners()
    assert re.fullmatch(r"reuseport \d+,\d+,\d+", owners["26006/tcp"])
    assert re.fullmatch(r"forked \d+,\d+,\d+", owners["26001/tcp"])
    bound = {row[0]: row[2] for row in listed.rows}
    assert bound["26400/tcp"] == bound["26400/udp"] == bound["21010/tcp"] == "0.0.0.0,[::]"
    assert (bound["21003/tcp"], bound["21004/tcp"]) == ("*", "[::]")
    assert (bound["21008/tcp"], bound["21012/tcp"], bound["21017/tcp"]) == (
        "[fe80::1]%left", "0.0.0.0%left", "*%left",
    )  # fmt: skip


def test_reach_is_the_bind_scope(listed):
    reach = {row[0]: row[3] for row in listed.rows}
    assert {reach[f"{port}/tcp"] for port in (21002, 21005, 21009, 21011)} == {"this host"}
    assert {reach[f"{port}/tcp"] for port in (21006, 21007, 21008)} == {"this network"}
    assert {reach[f"{port}/tcp"] for port in (21001, 21003, 21012)} == {"anyone"}
    assert reach["21013/tcp"] == "not listening"


def test_hostile_names_are_never_raw(world, listed):
    owners = listed.owners()
    for text, port in HOSTILE.items():
        assert owners[f"{port}/tcp"].startswith(f"{text} ")
    for words in ([], ["-a"], ["--csv"], ["--columns", "command,owner,exe"], ["who", "26103"], ["-x"]):
        said = run(world.space, *words)
        assert all(character.isprintable() or character in "\r\n" for character in said.out + said.err)


def test_kernel_and_in_flight_holders_say_so(world, listed):
    if not any("vxlan" in what for what, _ in world.missing):
        assert listed.owners()["4789/udp"] == "(kernel: vxlan vx0)"
    assert listed.owners()["26005/tcp"] in ("(in flight)", "(not permitted)", "(other pid namespace)")


def test_json_and_table_agree(world, listed):
    document = json.loads(run(world.space, "--json").out)
    assert [f"{item['port']}/{item['protocol']}" for item in document["items"]] == [
        row[0] for row in listed.rows
    ]
    for item, row in zip(document["items"], listed.rows, strict=True):
        pids = sorted(owner["pid"] for owner in item["owners"])
        assert (
            pids == sorted(map(int, re.findall(r"(?<=[ ,])\d+(?=,|$)", row[4]))) or not pids or "(" in row[4]
        )
        assert len({one["address"] for one in item["addresses"]}) == len(row[2].split(","))


def test_filters_in_the_world(world):
    for words, ports in (
        (["sport = 21001-21003"], ["21001/tcp", "21002/tcp", "21003/tcp"]),
        (["proc forked"], ["26001/tcp"]),
        (["-u", "port = 26400"], ["26400/udp"]),
        (["dev left and sport < 21013"], ["21008/tcp", "21012/tcp"]),
    ):
        assert [row[0] for row in run(world.space, "list", *words).rows] == ports


def test_filter_by_user(world):
    require(os.geteuid() == 0, "needs root, to be another user")
    rows = run(world.space, "list", "user nobody and sport > 26201").rows
    assert [row[0] for row in rows] == ["26202/tcp", "26204/tcp"]


# every socket


@pytest.mark.parametrize("user", ["root", "other"])
@pytest.mark.parametrize("selection", [{}, {"families": ("inet6",)}, {"kinds": ("udp", "unix")}])
def test_the_bulk_table_is_the_table_of_records(world, user, selection):
    require(user == "root" or os.geteuid() == 0, "needs root, to be another user")
    bulk, records, counts = world.space.call(both_tables, selection, NOBODY if user == "other" else None)
    assert len(bulk) > 5
    assert bulk == records
    assert counts[0] == counts[1]


def both_tables(selection: dict, uid: int | None) -> tuple[list[list[str]], list[list[str]], list[object]]:
    """One snapshot drawn in bulk and record by record, in cells; and what each counted."""
    if uid is not None:
        step_down(uid)
    snapshot = take(query.build("", query.Selection(every=True, **selection)).wish)
    output = Output(arguments(), io.StringIO())
    stream = Stream(snapshot, output)
    stream.write(header=True)
    bulk = cells(output)
    output = Output(arguments(), io.StringIO())
    output.table(snapshot.sockets, [socket_table.COLUMNS[name] for name in socket_table.DEFAULT])
    counted = [(stream.count, snapshot.count_gaps(stream.gaps)), (len(snapshot), snapshot.gaps)]
    return bulk, cells(output), counted


def arguments():
    from types import SimpleNamespace

    return SimpleNamespace(json=False, quiet=False, verbose=False, color="never")


def cells(output: Output) -> list[list[str]]:
    return [re.split(r" {2,}", line.rstrip()) for line in output.out.getvalue().splitlines()]  # type: ignore[attr-defined]


# an ordinary user


@pytest.fixture(scope="module")
def unprivileged(world):
    require(os.geteuid() == 0, "needs root, to be another user")
    return run(world.space, uid=NOBODY)


def test_an_ordinary_user_sees_every_port(listed, unprivileged):
    assert unprivileged.code == 0
    assert {tuple(row[:1] + row[2:3]) for row in unprivileged.rows} == {
        tuple(row[:1] + row[2:3]) for row in listed.rows
    }
    assert {row[3] for row in unprivileged.rows} <= {
        "unknown",
        "this host",
        "not listening",
    }  # rules take root


def test_an_ordinary_user_is_told_what_is_not_seen(unprivileged):
    owners = unprivileged.owners()
    assert owners["21001/tcp"] == "(not permitted)"
    assert re.fullmatch(r"other_users \d+", owners["26201/tcp"])  # their own
    assert re.match(r"portside: not seen: owners \(\d+\): permission; run it with sudo\n", unprivileged.err)


def test_an_ordinary_user_s_codes(world, unprivileged):
    assert run(world.space, "--strict", uid=NOBODY).code == 3
    assert run(world.space, "-a", "--strict", "-q", uid=NOBODY)[::2] == (3, "")
    quiet = run(world.space, "list", "-q", "port = 21001", uid=NOBODY)
    assert (quiet.code, quiet.err) == (0, "")
    document = json.loads(run(world.space, "--json", uid=NOBODY).out)
    assert document["complete"] is False
    assert {gap["why"] for gap in document["gaps"]} == {"permission"}
    assert (
        run(world.space, "who", "21001", uid=NOBODY).out.splitlines()[-1]
        == "└─ held by  (not permitted) user root"
    )
    assert run(world.space, "doctor", uid=NOBODY).code == 1


# who


def test_who_of_groups(world):
    for port, name in ((26006, "reuseport"), (26001, "forked")):
        said = run(world.space, "who", str(port))
        assert said.code == 0
        assert len(re.findall(rf"held by  {name} \d+  fd \d", said.out)) == 3
        assert len(re.findall(r"started by ", said.out)) == 3
        assert f"{port}/tcp  listening on 0.0.0.0\n" in said.out


def test_who_of_backlogs(world):
    assert "├─ backlog  1 of 8 waiting to be accepted\n" in run(world.space, "who", "23101").out
    assert "├─ backlog  1 of 0 waiting to be accepted\n" in run(world.space, "who", "23102").out
    assert (
        "1 connection on local port 23101, by peer:\n  127.0.0.1  1 established\n"
        in run(world.space, "who", "23101").out
    )


@pytest.mark.parametrize(
    ("port", "lines"),
    [
        (21101, ["  127.0.0.1  1 established  held by connections PID"]),
        (21102, ["  ::1  1 established  held by connections PID"]),
        (23001, ["  192.0.2.98  1 syn-recv"]),
        (23201, ["  127.0.0.1  1 close-wait  held by closing_down PID"]),
    ],
)
def test_who_of_connections_by_peer(world, port, lines):
    found = re.sub(r"\d+(?=$)", "PID", run(world.space, "who", str(port)).out.rstrip()).splitlines()
    assert found[-len(lines) - 1 :] == [f"1 connection on local port {port}, by peer:", *lines]


def test_who_of_udp_mptcp_and_nothing(world):
    assert run(world.space, "who", "22002", "-n").out.startswith("22002/udp  open on 127.0.0.1\n")
    assert run(world.space, "who", "7").code == 1
    assert run(world.space, "who", "26302").code == 1  # another namespace's
    assert run(world.space, "who", "26400/udp").out.count("26400/") == 1
    if not any("mptcp" in what for what, _ in world.missing):
        said = run(world.space, "who", "24100")
        assert said.out.startswith("24100/mptcp and tcp  listening on 127.0.0.1\n")
        assert "1 connection on local port 24100, by peer:\n" in said.out


# namespaces


@pytest.mark.alone
def test_every_namespace(world):
    said = run(world.space, "--netns", "all", "--columns", "port,netns", "--no-header")
    places = {
        tuple(line.split()) for line in said.out.splitlines()
    }  # others may have the same ports elsewhere
    here = f"net:[{world.space.inode}]"
    assert ("21001/tcp", here) in places
    hidden = {place for port, place in places if port == "26302/tcp"}
    assert hidden - {here, ""} == hidden != set()
    assert "NETNS" in run(world.space, "--netns", "all").out.splitlines()[0]
    found = json.loads(run(world.space, "who", "26302", "--netns", "all", "--json").out)["items"][0]
    assert hidden & {row["netns"] for row in found["ports"]}
