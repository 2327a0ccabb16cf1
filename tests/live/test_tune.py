"""tune on the running kernel: values set and taken back, what is in use counted, files that last."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest
from tests.support import require

from portside.errors import BadRequest, NotPermitted, NotSupported
from portside.see.tune import advice, applying, changes, usage
from portside.see.tune.settings import SETTINGS
from portside.system import journal, sysctl_files
from portside.testing.namespaces import become

SOURCE = Path(__file__).resolve().parents[2] / "src"
SYS = Path("/proc/sys")
NOBODY = 65534
HOST_NETWORK = os.stat("/proc/self/ns/net").st_ino

# what people type, and what the kernel then has
TYPED = {
    "ephemeral": ("1024-65535", "1024 65535"),
    "reserved": ("40000,9000-9010", "9000-9010,40000"),
    "unprivileged": ("80", "80"),
    "keepalive": ("2000", "2000"),
    "keepalive-interval": ("1min", "60"),
    "keepalive-probes": ("5", "5"),
    "fin-timeout": ("30", "30"),
    "somaxconn": ("1000", "1000"),
    "syn-backlog": ("512", "512"),
}


def kernel(name):
    return " ".join((SYS / SETTINGS[name].sysctl.replace(".", "/")).read_text().split())


def change(name, words, root, persist=False):
    """Set something: inside a namespace of the test's, by `space.call`, never here."""
    assert os.stat("/proc/self/ns/net").st_ino != HOST_NETWORK
    return applying.carry_out(
        changes.plan(SETTINGS[name], words, applying.read_values(), persist=persist), root=root
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_what_was_typed_is_set_and_taken_back(space, tmp_path, name):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    words, expected = TYPED[name]
    root = str(tmp_path)

    def there_and_back():
        before = kernel(name)
        done = change(name, words, root)
        during = kernel(name)
        applying.undo(applying.find_undo(root=root), root=root)
        return before, during, kernel(name), done.now, applying.find_undo(root=root)

    before, during, after, told, left = space.call(there_and_back)
    assert (during, after, left) == (expected, before, None)
    assert told.replace("-", " ") == expected.replace("-", " ")
    assert applying.read_record(root) == ()


def test_changes_are_undone_last_first(space, tmp_path):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")

    def several():
        for words in ("100", "200"):
            change("keepalive", words, str(tmp_path))
        change("somaxconn", "7", str(tmp_path))
        values = []
        for name in ("keepalive", "", ""):
            applying.undo(applying.find_undo(name, root=str(tmp_path)), root=str(tmp_path))
            values.append((kernel("keepalive"), kernel("somaxconn")))
        return values

    assert space.call(several) == [("100", "7"), ("100", "4096"), ("7200", "4096")]


def test_another_namespace_s_changes_are_not_undone_here(space, tmp_path):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    space.call(change, "keepalive", "100", str(tmp_path))
    with journal.Journal(journal.place("tune", str(tmp_path))) as book:
        (record,) = book.records().values()
        book.write(1, record | {"network": record["network"] + 1})
    assert space.call(lambda: applying.find_undo(root=str(tmp_path))) is None


def test_what_another_boot_set_for_itself_is_forgotten(space, tmp_path):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    space.call(change, "keepalive", "100", str(tmp_path))
    with journal.Journal(journal.place("tune", str(tmp_path))) as book:
        (record,) = book.records().values()
        other = {"name": "somaxconn", "before": "1", "after": "2", "persist": True}
        for one in (record | {"boot": "earlier"}, record | other | {"boot": "earlier"}):
            book.add(one)
    space.call(change, "keepalive-probes", "5", str(tmp_path))
    names = [one.name for one in applying.read_record(str(tmp_path))]
    assert names == ["keepalive", "somaxconn", "keepalive-probes"]


def test_what_somebody_changed_since_is_not_overwritten(space, tmp_path):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")

    def changed_since():
        change("keepalive", "100", str(tmp_path))
        (SYS / "net/ipv4/tcp_keepalive_time").write_text("55")
        applying.undo(applying.find_undo(root=str(tmp_path)), root=str(tmp_path))

    with pytest.raises(
        NotSupported, match="it is 55 s now, not the 100 s that was set; set it: portside tune keep"
    ):
        space.call(changed_since)


def test_the_kernel_refuses_what_was_refused_before(space):
    """The check of two settings together is the kernel's own."""
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")

    def by_hand():
        (SYS / "net/ipv4/ip_local_port_range").write_text("1000 65535")

    with pytest.raises(OSError, match="Invalid argument"):
        space.call(by_hand)
    with pytest.raises(BadRequest, match="may not begin below"):
        space.call(lambda: changes.plan(SETTINGS["ephemeral"], "1000-65535", applying.read_values()))


def test_setting_takes_a_right_and_leaves_no_record(space, tmp_path):
    require(os.geteuid() == 0, "needs root, to be another user")

    def as_nobody():
        change_ready = changes.plan(SETTINGS["keepalive"], "100", applying.read_values())
        become(NOBODY)
        applying.carry_out(change_ready, root=str(tmp_path))

    with pytest.raises(
        NotPermitted, match=r"set 'net\.ipv4\.tcp_keepalive_time' to '100': permission denied"
    ):
        space.call(as_nobody)
    assert applying.read_record(str(tmp_path)) == ()


def test_in_a_namespace_nothing_is_made_to_last(space):
    """The host's files are not for it; with a root of their own they are whoever's."""
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    with pytest.raises(NotSupported, match="read for the host's network namespace alone"):
        space.call(change, "keepalive", "100", "", True)


# What procps' sysctl --system does with our file: with it alone, and in a namespace, so that nothing else is set.
SYSTEM = """
set -e
mount --make-rprivate /
for directory in /run /usr/local/lib /usr/lib /lib; do
    test ! -d $directory/sysctl.d || mount --bind {empty} $directory/sysctl.d
done
mount --bind {root}/etc/sysctl.d /etc/sysctl.d
mount --bind {empty_file} /etc/sysctl.conf
echo 5000 > /proc/sys/net/ipv4/tcp_keepalive_time
echo 40000 50001 > /proc/sys/net/ipv4/ip_local_port_range
sysctl --system > /dev/null
cat /proc/sys/net/ipv4/tcp_keepalive_time /proc/sys/net/ipv4/ip_local_port_range
"""


def test_what_is_to_last_survives_sysctl_system(space, tmp_path):
    require(os.geteuid() == 0, "needs root, to mount")
    require(Path("/etc/sysctl.conf").exists(), "needs /etc/sysctl.conf, of procps")
    root = tmp_path / "root"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (root / "etc/sysctl.d").mkdir(parents=True)
    (root / "etc/sysctl.d/99-sysctl.conf").write_text("net.ipv4.tcp_keepalive_time = 1\n")

    def make():
        return change("keepalive", "2000", str(root), True), change(
            "ephemeral", "1024-65535", str(root), True
        )

    done = space.call(make)
    assert [one.overridden_by for one in done] == ["", ""]
    script = SYSTEM.format(empty=tmp_path / "empty", root=root, empty_file=tmp_path / "file")
    ran = space.run(["unshare", "--mount", "sh", "-c", script])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split() == ["2000", "1024", "65535"]

    def back():
        while (last := applying.find_undo(root=str(root))) is not None:
            applying.undo(last, root=str(root))
        return kernel("keepalive")

    assert space.call(back) == "7200"
    assert not (root / sysctl_files.OURS[1:]).exists()


def test_a_file_that_has_the_last_word_is_named(space, tmp_path):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/sysctl.conf").write_text("# mine\nnet.ipv4.tcp_keepalive_time=1\n")
    done = space.call(change, "keepalive", "2000", str(tmp_path), True)
    assert done.overridden_by == "/etc/sysctl.conf line 2"


def use_up(count):
    """Make connections to two destinations and UDP sockets; return what is counted."""
    (SYS / "net/ipv4/ip_local_port_range").write_text("40000 40099")
    (SYS / "net/ipv4/ip_local_reserved_ports").write_text("40000-40009")
    first, second = (socket.create_server(("127.0.0.1", port), backlog=count) for port in (5000, 5001))
    clients = [socket.create_connection(first.getsockname()) for _ in range(count)]
    clients += [socket.create_connection(second.getsockname()) for _ in range(3)]
    clients += [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
    for one in clients[-2:]:
        one.bind(("127.0.0.1", 0))
    values = applying.read_values()
    facts = usage.look(advice.ranges_of(values))
    ss = sum(1 for one in clients if one.type == socket.SOCK_STREAM)
    for one in (first, second, *clients):
        one.close()
    return facts.use, advice.warnings(values, facts), ss


def test_the_range_in_use_towards_a_destination(space):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    use, warnings, _ = space.call(use_up, 80)
    assert (use.size, use.udp) == (90, 2)
    assert 80 <= use.tcp <= 83  # towards another destination a port may serve twice
    assert [(one.address, one.port, one.used) for one in use.destinations] == [
        ("127.0.0.1", 5000, 80), ("127.0.0.1", 5001, 3),
    ]  # fmt: skip
    assert any("80 of 90 ports are in use towards 127.0.0.1 port 5000" in one.text for one in warnings)


def overflow():
    """A listener that accepts nobody, and more clients than it lets wait."""
    server = socket.create_server(("127.0.0.1", 5000), backlog=1)
    clients = []
    for _ in range(6):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(server.getsockname())
        clients.append(client)
    values = applying.read_values()
    facts = usage.look(advice.ranges_of(values), connections=False)
    for one in (server, *clients):
        one.close()
    return facts, advice.warnings(values, facts)


def test_a_backlog_that_overflows_is_told_per_listener(space):
    facts, warnings = space.call(overflow)
    [listener] = facts.listeners
    assert (listener.used, listener.limit, listener.by_number) == (2, 1, True)
    assert listener.drops >= 4  # more where a client has tried again meanwhile
    assert facts.count("ListenOverflows") >= 4
    text = next(one.text for one in warnings if one.setting == "somaxconn")
    assert (
        f"2 of 1 wait to be accepted, {listener.drops} connection attempts dropped so far; its program"
        in text
    )


def listeners_of_both_kinds():
    (SYS / "net/ipv4/ip_local_port_range").write_text("40000 41001")
    with socket.create_server(("", 40500)), socket.create_server(("", 0)):
        values = applying.read_values()
        return [one.text for one in advice.warnings(values, usage.look(advice.ranges_of(values)))]


def test_only_a_listener_that_asked_for_its_port_is_warned_of(space):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    texts = [text for text in space.call(listeners_of_both_kinds) if "listens inside the range" in text]
    assert len(texts) == 1
    assert texts[0].startswith("40500/tcp (")


def portside(space, state, *words):
    environment = [f"PYTHONPATH={SOURCE}", f"PORTSIDE_STATE={state}"]
    return space.run(["env", *environment, sys.executable, "-m", "portside", "tune", *words])


def test_the_command(space, tmp_path):
    require(os.geteuid() == 0, "needs root, for the settings of a network namespace")
    done = portside(space, tmp_path, "ephemeral", "1024-65535", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "ephemeral: 32768-60999 → 1024-65535 (nothing was set)\n")
    assert space.call(kernel, "ephemeral") == "32768 60999"
    assert (
        portside(space, tmp_path, "ephemeral", "1024-65535").stdout == "ephemeral: 32768-60999 → 1024-65535\n"
    )
    assert (
        portside(space, tmp_path, "ephemeral", "1024", "65535").stdout == "ephemeral is 1024-65535 already\n"
    )
    assert portside(space, tmp_path, "reserved", "8080").returncode == 0
    assert portside(space, tmp_path, "reserved", "-8080").stdout == "reserved: 8080 → none\n"
    assert portside(space, tmp_path, "undo", "ephemeral").stdout == "ephemeral: 1024-65535 → 32768-60999\n"
    assert portside(space, tmp_path, "undo", "ephemeral").returncode == 1
    assert portside(space, tmp_path, "keepalive", "soon").returncode == 2


def test_the_command_s_table_and_json(space, tmp_path):
    done = portside(space, tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [*SETTINGS]
    items = {item["name"]: item for item in json.loads(portside(space, tmp_path, "--json").stdout)["items"]}
    assert items["ephemeral"]["value"] == "32768-60999"
    assert items["ephemeral"]["use"] == {"size": 28232, "tcp": 0, "udp": 0, "destinations": []}
    assert items["keepalive"]["value"] == items["keepalive"]["default"] == 7200
