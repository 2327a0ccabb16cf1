"""Installing over a scratch root: what is written and run, and that all of it, and only that, goes away again."""

from __future__ import annotations

import os
from functools import partial

import pytest

from portside.errors import BadReply, BadRequest, NotSupported, PortsideError
from portside.system import commands, service_tools
from portside.system.journal import Journal
from portside.use.install import applying, launchd, scripts, superservers, systemd, units, verifying
from portside.use.install.applying import Installed
from portside.use.install.plan import sh_word
from portside.use.install.wish import Wish, check

PASSED = Wish(80, "tcp", ("/bin/cat", "-u"), "web")
INETD = PASSED.replace(how="inetd", port=7777)


class Commands:
    """A stand-in for the manager: remembers what it was told, and fails where it should."""

    def __init__(self, failing=()):
        self.told = []
        self.failing = failing

    def __call__(self, command):
        self.told.append(command)
        if command in self.failing or command[0] in self.failing:
            raise PortsideError("run", " ".join(command), "it failed")
        return ""

    def without_checks(self):
        return [command for command in self.told if command[0] not in ("systemd-analyze", "sh", "plutil")]


def everything(root):
    """Return every file but the journal's lock."""
    return sorted(
        os.path.join(directory, name).removeprefix(str(root))
        for directory, _, names in os.walk(root)
        for name in names
        if name != "lock"
    )


@pytest.fixture
def root(tmp_path):
    return str(tmp_path)


def install(plan, root, run=None, port=80, protocol="tcp", **more):
    run = run or Commands()
    wanted = Installed(port, protocol, plan, **more)
    applying.install(wanted, root, run)
    return wanted, run


def test_units_are_written_switched_on_and_taken_away(root):
    plan = systemd.render(PASSED)
    wanted, run = install(plan, root)
    assert everything(root) == [
        "/etc/systemd/system/web.service", "/etc/systemd/system/web.socket", "/var/lib/portside/installed/1.json",
    ]  # fmt: skip
    assert run.without_checks() == [
        ("systemctl", "daemon-reload"), ("systemctl", "enable", "--now", "web.socket"),
    ]  # fmt: skip
    found = applying.find(80, "", root=root)
    assert found == wanted
    off = Commands()
    removed = applying.uninstall(found, root, off)
    assert off.told == [
        ("systemctl", "disable", "--now", "web.socket", "web.service"),
        ("systemctl", "daemon-reload"),
        ("systemctl", "reset-failed", "[w]eb.socket", "[w]eb.service"),
    ]
    assert (sorted(removed.gone), removed.kept, removed.failed) == (
        ["/etc/systemd/system/web.service", "/etc/systemd/system/web.socket"], (), (),
    )  # fmt: skip
    assert everything(root) == []


def test_a_line_among_others_comes_and_goes(root):
    path = os.path.join(root, "etc", "inetd.conf")
    os.makedirs(os.path.dirname(path))
    others = "# mine\nftp\tstream\ttcp\tnowait\troot\t/usr/sbin/ftpd\tftpd"  # no newline at the end
    with open(path, "w") as file:
        file.write(others)
    os.chmod(path, 0o600)
    plan = superservers.inetd(INETD)
    wanted, run = install(plan, root, port=7777)
    with open(path) as file:
        assert file.read() == f"{others}\n{plan.lines[0].text}\n"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert run.told == [("service", "inetd", "reload")]
    applying.uninstall(wanted, root, Commands())
    with open(path) as file:
        assert file.read() == f"{others}\n"


def test_nothing_of_anybody_else_s_is_overwritten(root):
    os.makedirs(f"{root}/etc/systemd/system")
    with open(f"{root}/etc/systemd/system/web.service", "w") as file:
        file.write("theirs")
    run = Commands()
    with pytest.raises(
        BadRequest, match=r"'/etc/systemd/system/web\.service' is there already; name another"
    ):
        install(systemd.render(PASSED), root, run)
    assert (everything(root), run.told) == (["/etc/systemd/system/web.service"], [])


def test_a_port_is_installed_on_once(root):
    install(systemd.render(PASSED), root)
    with pytest.raises(BadRequest, match=r"'web.socket' was installed on it; portside uninstall 80"):
        install(systemd.render(PASSED.replace(name="other")), root)


@pytest.mark.parametrize("failing", ["systemd-analyze", ("systemctl", "enable", "--now", "web.socket")])
def test_what_fails_is_taken_back(root, failing, monkeypatch):
    monkeypatch.setattr(commands, "find", lambda program: f"/bin/{program}")
    run = Commands([failing])
    with pytest.raises(PortsideError, match="it failed"):
        install(systemd.render(PASSED), root, run)
    assert everything(root) == []
    switched_off = ("systemctl", "disable", "--now", "web.socket", "web.service") in run.told
    assert switched_off is (failing != "systemd-analyze")  # what was never on is not switched off


def test_a_file_that_was_changed_since_is_kept(root):
    wanted, _ = install(systemd.render(PASSED), root)
    with open(f"{root}/etc/systemd/system/web.service", "a") as file:
        file.write("# mine\n")
    removed = applying.uninstall(wanted, root, Commands(["systemctl"]))
    assert removed.kept == ("/etc/systemd/system/web.service",)
    assert len(removed.failed) == 3
    assert everything(root) == ["/etc/systemd/system/web.service"]


def test_checks_run_over_the_files_where_they_are(root, monkeypatch):
    monkeypatch.setattr(commands, "find", lambda program: f"/bin/{program}")
    _, run = install(scripts.sysv(PASSED.replace(how="own")), root)
    assert run.told[0] == ("sh", "-n", f"{root}/etc/init.d/web")
    assert os.access(f"{root}/etc/init.d/web", os.X_OK)


@pytest.mark.parametrize("record", [{"port": 80}, {"port": 80, "protocol": "tcp", "plan": "x"}, {}])
def test_a_damaged_record_is_an_error_not_an_order(root, record):
    with Journal(applying.place(root)) as book:
        book.add(record)
    with pytest.raises(BadReply, match="the record is damaged"):
        applying.read_record(root)


def test_two_services_are_found_apart(root):
    install(systemd.render(PASSED), root)
    install(systemd.render(PASSED.replace(name="dns", protocol="udp")), root, protocol="udp")
    install(
        units.plan("systemd", "apache2.service", enabled=False, running=False),
        root,
        port=0,
        unit="apache2.service",
    )
    assert applying.find(80, "udp", root=root).plan.service == "dns.socket"
    assert applying.find(80, "", root=root).plan.service == "web.socket"
    assert applying.find(0, "", unit="apache2.service", root=root).unit == "apache2.service"
    assert applying.find(81, "", root=root) is None


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (PASSED.replace(name="a/b"), "a name is made of letters"),
        (PASSED.replace(name="-x"), "a name is made of letters"),
        (PASSED.replace(command=()), "must begin with a path"),
        (PASSED.replace(command=("cat",)), "must begin with a path"),
        (PASSED.replace(command=("/bin/cat", "a\nExecStart=/bin/sh")), "a line break"),
        (PASSED.replace(user="root\nUser=x"), "a line break"),
        (PASSED.replace(how="proxy"), "needs the address"),
    ],
)
def test_what_no_manager_can_have(wish, reason):
    with pytest.raises(BadRequest, match=reason):
        check(wish)


@pytest.mark.parametrize(
    ("render", "wish", "reason"),
    [
        (systemd.render, PASSED.replace(command=("/srv/it's",)), "no program whose path has quotes"),
        (systemd.render, PASSED.replace(command=("/srv/a\\b",)), "no program whose path has quotes"),
        (
            systemd.render,
            PASSED.replace(how="proxy", protocol="udp", target="127.0.0.1:9"),
            "forwards TCP alone",
        ),
        (scripts.sysv, PASSED, "passes no sockets"),
        (scripts.openrc, INETD, "passes no sockets"),
        (scripts.freebsd, PASSED.replace(how="proxy"), "passes no sockets"),
        (launchd.render, PASSED, "in a way of its own"),
        (superservers.inetd, PASSED, "for each connection"),
        (superservers.xinetd, INETD.replace(command=("/bin/echo", "a b")), "no quoting"),
        (superservers.inetd, INETD.replace(command=("/bin/echo", "#1")), "no quoting"),
        (partial(superservers.inetd, freebsd=True), INETD.replace(address="::1"), "listens on every address"),
    ],
)
def test_what_one_manager_cannot_have(render, wish, reason):
    with pytest.raises(BadRequest, match=reason):
        render(wish)


def test_low_ports_are_warned_of_where_they_take_root():
    own = PASSED.replace(how="own")
    assert "runs as root" in scripts.sysv(own).warnings[0]
    assert "www may not bind port 80" in scripts.freebsd(own.replace(user="www")).warnings[0]
    assert scripts.openrc(own.replace(port=8080)).warnings == ()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in systemd.render(own).files[0].text
    assert "AmbientCapabilities" not in systemd.render(PASSED).files[1].text


@pytest.mark.parametrize(
    ("made", "system", "kind"),
    [
        ([], "FreeBSD", "freebsd"),
        ([], "Darwin", "launchd"),
        (["run/systemd/system", "etc/init.d"], "Linux", "systemd"),
        (["run/openrc", "etc/init.d"], "Linux", "openrc"),
        (["etc/init.d"], "Linux", "sysv"),
        ([], "Linux", ""),
    ],
)
def test_the_host_s_manager(tmp_path, made, system, kind):
    for path in made:
        (tmp_path / path).mkdir(parents=True)
    assert service_tools.kind_of_host(str(tmp_path), system) == kind


def test_the_host_s_superserver(tmp_path):
    assert service_tools.superserver_of_host(str(tmp_path)) == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/inetd.conf").touch()
    assert service_tools.superserver_of_host(str(tmp_path)) == "inetd"
    (tmp_path / "etc/xinetd.d").mkdir()
    assert service_tools.superserver_of_host(str(tmp_path)) == "xinetd"


def test_what_the_host_calls_its_inetd(tmp_path):
    assert service_tools.superserver_service("inetd", str(tmp_path)) == "inetd"
    (tmp_path / "etc/init.d").mkdir(parents=True)
    (tmp_path / "etc/init.d/openbsd-inetd").touch()
    assert service_tools.superserver_service("inetd", str(tmp_path)) == "openbsd-inetd"
    assert service_tools.superserver_service("xinetd", str(tmp_path)) == "xinetd"
    plan = superservers.inetd(INETD, "openbsd-inetd", (("service", "openbsd-inetd", "start"),))
    assert plan.enable == (("service", "openbsd-inetd", "start"),)
    assert superservers.inetd(INETD, "openbsd-inetd").enable == (("service", "openbsd-inetd", "reload"),)


@pytest.mark.parametrize(
    ("kind", "chkconfig", "enable", "disable"),
    [
        ("systemd", False, [("systemctl", "enable", "x"), ("systemctl", "start", "x")],
         [("systemctl", "stop", "x"), ("systemctl", "disable", "x")]),
        ("sysv", True, [("chkconfig", "x", "on"), ("service", "x", "start")],
         [("service", "x", "stop"), ("chkconfig", "x", "off")]),
        ("sysv", False, [("update-rc.d", "x", "enable"), ("service", "x", "start")],
         [("service", "x", "stop"), ("update-rc.d", "x", "disable")]),
        ("freebsd", False, [("sysrc", "x_enable=YES"), ("service", "x", "start")],
         [("service", "x", "stop"), ("sysrc", "x_enable=NO")]),
        ("openrc", False, [("rc-update", "add", "x", "default"), ("rc-service", "x", "start")],
         [("rc-service", "x", "stop"), ("rc-update", "del", "x", "default")]),
    ],
)  # fmt: skip
def test_a_unit_is_put_back_as_it_was(kind, chkconfig, enable, disable):
    plan = units.plan(kind, "x", enabled=False, running=False, chkconfig=chkconfig)
    assert (list(plan.enable), list(plan.disable)) == (enable, disable)
    assert units.plan(kind, "x", enabled=True, running=True, chkconfig=chkconfig).disable == ()
    assert (
        list(units.plan(kind, "x", enabled=True, running=False, chkconfig=chkconfig).disable) == disable[:1]
    )


def test_a_unit_s_name_and_state():
    assert units.unit_name("systemd", "apache2") == "apache2.service"
    assert units.unit_name("systemd", "ssh.socket") == "ssh.socket"
    assert units.unit_name("sysv", "apache2") == "apache2"
    for name in ("", "-x", "a/b", "a\nb"):
        with pytest.raises(BadRequest, match="no name of a service"):
            units.unit_name("systemd", name)
    down = Commands([("systemctl", "is-active", "x.service")])
    assert units.state("systemd", "x.service", down) == (True, False)
    with pytest.raises(NotSupported, match="launchd has no units"):
        units.plan("launchd", "x", enabled=False, running=False)


@pytest.mark.parametrize(
    ("word", "quoted"),
    [("a-b/c=1", "a-b/c=1"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")],
)
def test_words_for_the_shell(word, quoted):
    assert sh_word(word) == quoted


ACTIVE = "Id=web.socket\nActiveState=active\nResult=success\n"
SERVICE = "Id=web.service\nActiveState={}\nResult={}\nNRestarts={}\nExecMainStatus={}\n"


def systemd_that_says(*answers):
    """Return a stand-in for systemd whose service is in each of these states in turn, the last for ever."""
    left = list(answers)

    def run(command):
        if command[0] == "journalctl":
            assert command[-1] == "_SYSTEMD_UNIT=web.service"
            return "PermissionError\n"
        assert command[-2:] == ("web.socket", "web.service")
        return f"{ACTIVE}\n{SERVICE.format(*(left.pop(0) if len(left) > 1 else left[0]))}"

    return run


@pytest.mark.parametrize(
    ("answers", "waiting", "why"),
    [
        ([("active", "success", 0, 0)], 0, ""),
        ([("activating", "success", 0, 0), ("active", "success", 0, 0)], 0, ""),
        ([("inactive", "success", 0, 0)], 0, ""),  # it has served, and ended
        ([("active", "success", 0, 0)], 1, "the program has not accepted the connection"),
        ([("activating", "success", 0, 0)], 0, "web.service is still starting"),
        (
            [("failed", "exit-code", 0, 203)], 1,
            "web.service has failed (exit code 203): 'PermissionError'; see 'journalctl -u web.service'",
        ),
        (
            [("activating", "exit-code", 0, 1), ("active", "success", 1, 0)], 0,  # Restart= has it live once more
            "web.service has failed: 'PermissionError'; see 'journalctl -u web.service'",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_service_that_answers(monkeypatch, answers, waiting, why):
    monkeypatch.setattr(verifying, "_SETTLED", 0.2)
    monkeypatch.setattr(verifying, "_LOOK", 0.05)
    plan = systemd.render(PASSED)
    assert verifying.trouble(plan, systemd_that_says(*answers), lambda: waiting, seconds=1.0) == why


def test_a_program_that_was_started_may_not_have_ended():
    """For datagrams it is started; nothing of a connection could have been its end."""
    plan = systemd.render(PASSED.replace(protocol="udp"))
    why = verifying.trouble(plan, systemd_that_says(("inactive", "success", 0, 0)), lambda: 0, seconds=1.0)
    assert why == "web.service has ended"


def test_an_address_of_another_host():
    with pytest.raises(BadRequest, match=r"'192\.0\.2\.1': it is none of this host's"):
        verifying.taken(8080, "tcp", "192.0.2.1")


def test_portside_is_a_service_s_program_only_where_every_user_can_run_it(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "portside"
    program.parent.mkdir()
    program.touch(0o755)
    tmp_path.chmod(0o700)
    assert not service_tools.open_to_all(str(program))  # whatever its own mode
    assert not service_tools.open_to_all(str(tmp_path / "missing"))
    assert service_tools.open_to_all("/bin/sh")
    monkeypatch.setattr("sys.argv", [str(program)])
    assert service_tools.own_program() == ""
