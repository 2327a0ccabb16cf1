"""install with the managers' own programs: units judged by systemd-analyze, sockets passed by its socket-activate,
init scripts run, and the command from end to end over a copy of /etc that the test throws away.

Where systemd itself runs as init, it is tested by test_install_booted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.golden.test_install import plan_of
from tests.support import require

from portside.system import service_tools
from portside.use.install import systemd as systemd_units
from portside.use.install.wish import Wish

SOURCE = Path(__file__).resolve().parents[2] / "src"
CAT = "-- /bin/cat -u"
PYTHON = shutil.which("python3", path="/usr/bin") or sys.executable  # a program that other users may run, too


@pytest.mark.parametrize(
    "wish",
    [
        f"systemd passed 80/tcp {CAT} 'a b' 100% '$HOME' 'say \"hi\"' ';' ''",
        f"systemd passed 8443/tcp name=site address=::1 user=daemon directory=/srv {CAT}",
        f"systemd passed 53/udp {CAT}",
        f"systemd inetd 7777/tcp {CAT}",
        f"systemd inetd 69/udp {CAT}",
        f"systemd proxy 443/tcp target=127.0.0.1:9000 {CAT}",
        f"systemd-forward proxy 443/tcp target=127.0.0.1:9000 {CAT}",
        f"systemd own 80/tcp {CAT}",
        f"systemd own 8080/tcp {CAT}",
    ],
)
def test_units_are_right_and_locked_down(tmp_path, wish):
    require(shutil.which("systemd-analyze"), "needs systemd-analyze")
    plan = plan_of(wish)
    paths = []
    for file in plan.files:
        paths.append(str(tmp_path / Path(file.path).name))
        Path(paths[-1]).write_text(file.text.replace("/usr/bin/portside", "/bin/true"))  # which must be there
    judged = run("systemd-analyze", "verify", "--recursive-errors=no", *paths)
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")
    for path in paths:
        if path.endswith(".service"):
            judged = run(
                "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=19", path
            )
            assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("name", ["plain", "two words", "100% %n", "$HOME ${HOME} $$", "semi ; colon", "é"])
def test_systemd_reads_the_program_s_path_back(tmp_path, name):
    """Its own parser finds the file only if the quoting is what it takes it for."""
    require(shutil.which("systemd-analyze"), "needs systemd-analyze")
    program = tmp_path / name
    program.symlink_to("/bin/true")
    unit = tmp_path / "x.service"
    unit.write_text(systemd_units.render(Wish(80, "tcp", (str(program), name), "x", "own")).files[0].text)
    judged = run("systemd-analyze", "verify", "--recursive-errors=no", str(unit))
    assert (judged.returncode, judged.stderr) == (0, "")
    program.unlink()
    assert f"{program} is not executable" in run("systemd-analyze", "verify", str(unit)).stderr


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


@pytest.mark.parametrize(
    "wish",
    [
        f"sysv own 8080/tcp user=daemon {CAT} \"it's\" '$HOME'",
        f"chkconfig own 80/tcp {CAT}",
        f"openrc own 8080/tcp {CAT} \"it's\" '$HOME'",
        f"freebsd own 8080/tcp {CAT} \"it's\" '$HOME'",
    ],
)
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_scripts_are_right(tmp_path, wish, shell):
    require(shutil.which(shell), f"needs {shell}")
    script = tmp_path / "script"
    script.write_text(plan_of(wish).files[0].text)
    judged = run(*([shell, "sh"] if shell == "busybox" else [shell]), "-n", str(script))
    assert (judged.returncode, judged.stderr) == (0, "")


def test_arguments_reach_the_program_of_each_script(tmp_path):
    """Through each script's own quoting: FreeBSD's is read twice by the shell, OpenRC's once more by its runner."""
    words = ["it's", "$HOME", "a  b", 'say "hi"', "`id`", "\\", "*"]
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    shown = ["printf", "<%s>\\n", *words]
    expected = "".join(f"<{word}>\n" for word in words)
    assert run(*shown).stdout == expected
    text = plan_of(f"freebsd own 8080/tcp -- /usr/bin/printf '<%s>\\n' {quoted}").files[0].text
    line = next(line for line in text.splitlines() if line.startswith("command_args="))
    twice = (
        f'pidfile=p; {line}; eval "set -- $command_args"; while [ "$1" != -- ]; do shift; done; shift; "$@"'
    )
    assert run("sh", "-c", twice).stdout == expected
    text = plan_of(f"openrc own 8080/tcp -- /usr/bin/printf '<%s>\\n' {quoted}").files[0].text
    line = next(line for line in text.splitlines() if line.startswith("command_args="))
    assert run("sh", "-c", f'{line}; eval "/usr/bin/printf $command_args"').stdout == expected
    text = plan_of(f"sysv own 8080/tcp -- /usr/bin/printf '<%s>\\n' {quoted}").files[0].text
    line = next(line for line in text.splitlines() if line.strip().startswith("set -- "))
    assert run("sh", "-c", f'{line}; "$@"').stdout == expected


SERVER = """
import os, socket, sys
import portside
[web] = [one for one in portside.listen_fds() if one.name == "web"]
portside.notify("READY=1\\nSTATUS=serving")
with web.socket() as listener:
    connection, peer = listener.accept()
    with connection:
        connection.sendall(connection.recv(100).upper())
print(sorted(name for name in os.environ if name.startswith("LISTEN_")))
"""


@contextlib.contextmanager
def activated(space, *words, **more):
    """Run systemd-socket-activate in the namespace until it listens on port 8080."""
    require(shutil.which("systemd-socket-activate"), "needs systemd-socket-activate")
    started = subprocess.Popen(
        ["systemd-socket-activate", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=space.enter, process_group=0, **more,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 10
        while "8080" not in space.run(["ss", "-Hltn", "sport = 8080"]).stdout:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, 9)
        started.wait()
        started.stdout.close()
        started.stderr.close()


def ask(text, port=8080):
    """Send a line and return as much as comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(text)
        return client.recv(100)


def test_a_python_program_takes_its_socket_and_says_that_it_is_ready(space, tmp_path):
    """systemd's own implementation of the manager's side, our implementation of the program's."""
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(10)
    words = [
        "-l",
        "127.0.0.1:8080",
        "--fdname=web",
        f"-EPYTHONPATH={SOURCE}",
        f"-ENOTIFY_SOCKET={tmp_path}/notify",
    ]
    with told, activated(space, *words, sys.executable, "-c", SERVER) as program:
        assert space.call(ask, b"hello") == b"HELLO"
        assert told.recv(100) == b"READY=1\nSTATUS=serving"
        assert program.wait(10) == 0
        assert program.stdout.read() == "[]\n"


BEHIND = """
import socket
with socket.create_server(("127.0.0.1", 9000)) as listener:
    connection = listener.accept()[0]
    connection.sendall(connection.recv(100).upper())
    connection.close()
"""


def test_the_wrapper_for_programs_that_bind_by_themselves(space):
    """systemd-socket-proxyd behind a socket that was passed, before a program with a port of its own."""
    proxyd = service_tools.proxyd()
    require(os.path.exists(proxyd), "needs systemd-socket-proxyd")
    program = subprocess.Popen([sys.executable, "-c", BEHIND], preexec_fn=space.enter)
    try:
        while "9000" not in space.run(["ss", "-Hltn", "sport = 9000"]).stdout:
            time.sleep(0.02)
        with activated(space, "-l", "127.0.0.1:8080", proxyd, "127.0.0.1:9000"):
            assert space.call(ask, b"hello") == b"HELLO"
    finally:
        program.kill()
        program.wait()


# A copy of /etc over which everything is written, gone with the mount namespace; logs and /run likewise.
STAGE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {work}
mkdir {work}/up {work}/wk {work}/state
mount -t overlay overlay -o lowerdir=/etc,upperdir={work}/up,workdir={work}/wk /etc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/log
export PORTSIDE_STATE={work}/state PYTHONPATH={source}
portside() {{ {python} -m portside "$@"; }}
left() {{ find {work}/up {work}/state ! -name lock '(' -type f -o -type l -o -type c ')' | sed s,{work},,; }}
cd {work}
set +e
"""


@pytest.fixture
def stage(space, tmp_path):
    require(os.geteuid() == 0, "needs root, for a copy of /etc to write to")

    def play(script, **more):
        (tmp_path / "work").mkdir(exist_ok=True)
        head = STAGE.format(work=tmp_path / "work", source=SOURCE, python=sys.executable)
        done = space.run(
            ["unshare", "--mount", "sh", "-c", head + script.format(python=PYTHON, **more)], timeout=60
        )
        assert not done.stdout.startswith("skip "), done.stdout
        return done

    return play


def test_an_init_script_from_installing_to_uninstalling(stage):
    require(shutil.which("update-rc.d") and shutil.which("service"), "needs update-rc.d and service")
    done = stage("""
        portside install 8080 --for sysv --user daemon -- {python} -m http.server 8080; echo code $?
        portside list "port = 8080" --columns port,owner,user --no-header | sed 's/ [0-9]* */ /'
        ls /etc/rc2.d | grep portside
        service portside-8080 status
        portside install 8080 --for sysv -- {python} -m http.server 8080; echo code $?
        portside uninstall 8080; echo code $?
        left
        portside list "port = 8080" --no-header; echo code $?
    """)
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "wrote /etc/init.d/portside-8080", "portside-8080 is enabled, and port 8080/tcp answers", "code 0",
    ]  # fmt: skip
    assert lines[3].split()[0] == "8080/tcp"
    assert lines[3].endswith("daemon")
    assert lines[4][3:] == "portside-8080"
    assert lines[5:] == [
        "portside-8080 runs", "code 2", "removed /etc/init.d/portside-8080", "portside-8080 is switched off",
        "code 0", "code 1",
    ]  # fmt: skip
    assert "'portside-8080' was installed on it; portside uninstall 8080" in done.stderr


def test_an_init_script_at_boot_whose_process_number_somebody_else_has(stage):
    """Where /var/run outlives a boot, its file tells of a process that is another's now: not ours, and not ended."""
    require(shutil.which("update-rc.d") and shutil.which("service"), "needs update-rc.d and service")
    done = stage("""
        portside install 8080 --for sysv -- {python} -m http.server 8080 >/dev/null; echo code $?
        read pid </run/portside-8080.pid
        kill -9 $pid
        until portside list "port = 8080" --no-header >/dev/null; [ $? = 1 ]; do sleep 0.1; done
        sleep 1000 & other=$!
        printf '%s\\n' $other 1 >/run/portside-8080.pid
        service portside-8080 status
        service portside-8080 stop
        kill -0 $other && echo spared; kill $other
        /etc/rc2.d/S*portside-8080 start
        portside list --no-header | cut -d' ' -f1
        portside uninstall 8080; echo code $?
    """)
    assert done.stdout.splitlines() == [
        "code 0", "portside-8080 does not run", "portside-8080 does not run", "spared", "portside-8080 started",
        "8080/tcp", "removed /etc/init.d/portside-8080", "portside-8080 is switched off", "code 0",
    ], done.stderr  # fmt: skip


def test_a_port_that_somebody_has_is_not_installed_on(stage):
    """What has it would answer, and everything would look well."""
    done = stage("""
        {python} -m http.server 8080 >/dev/null 2>&1 & server=$!
        while ! ss -Hltn 'sport = 8080' | grep -q 8080; do sleep 0.05; done
        portside install 8080 --for sysv -- {python} -m http.server 8080; echo code $?
        kill $server
        left
    """)
    assert done.stdout == "code 2\n"
    assert "something has it already; see 'portside who 8080'" in done.stderr


def test_a_program_that_does_not_come_up_is_told(stage):
    require(shutil.which("update-rc.d") and shutil.which("service"), "needs update-rc.d and service")
    done = stage("""
        portside install 8080 --for sysv -- /bin/false; echo code $?
        left
    """)
    assert done.stdout == "code 2\n"  # everything was taken back
    assert (
        "run 'service portside-8080 start': portside-8080 did not start: see /var/log/portside-8080"
        in done.stderr
    )


INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: webby
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case "$1" in
    start) nohup {python} -m http.server 8081 >/dev/null 2>&1 & echo $! >/run/webby ;;
    stop) kill $(cat /run/webby); rm /run/webby ;;
    status) test -e /run/webby ;;
esac
"""


def test_a_unit_that_was_there_is_switched_on_and_put_back(stage):
    require(shutil.which("update-rc.d") and shutil.which("service"), "needs update-rc.d and service")
    script = INIT_SCRIPT.format(python=PYTHON)
    done = stage(f"""
        cat > /etc/init.d/webby <<'END'
{script.replace("{", "{{").replace("}", "}}")}
END
        chmod 755 /etc/init.d/webby
        update-rc.d webby defaults-disabled
        portside install --unit webby --for sysv; echo code $?
        ls /etc/rc2.d | grep webby
        portside uninstall --unit webby; echo code $?
        ls /etc/rc2.d | grep webby
        portside list "port = 8081" --no-header; echo code $?
        portside uninstall --unit webby; echo code $?
    """)
    assert done.stdout.splitlines() == [
        "webby is enabled and started: 8081/tcp", "code 0", "S01webby", "webby is as it was before", "code 0",
        "K01webby", "code 1", "code 1",
    ], done.stderr  # fmt: skip


def test_lines_of_an_inetd_that_runs_and_of_one_that_does_not(stage):
    require(shutil.which("inetd", path="/usr/sbin"), "needs openbsd-inetd")
    done = stage("""
        trap 'kill $(cat /run/inetd.pid)' EXIT
        : >/etc/inetd.conf
        answer() {{ echo hello | nc.openbsd -N -w 20 localhost $1; }}
        portside install 7777 --inetd -- /bin/cat -u; echo code $?; answer 7777
        portside install 7778 --inetd --address 127.0.0.1 --user daemon -- /usr/bin/id -un; echo code $?
        nc.openbsd -w 20 localhost 7778 </dev/null # what it is sent and does not read would cost its answer
        portside list --no-header | cut -d' ' -f1
        portside uninstall 7777 >/dev/null; portside uninstall 7778; echo code $?
        cat /etc/inetd.conf
    """)
    assert done.stdout.splitlines() == [
        "added a line to /etc/inetd.conf", "portside-7777 is enabled, and port 7777/tcp answers", "code 0", "hello",
        "added a line to /etc/inetd.conf", "portside-7778 is enabled, and port 7778/tcp answers", "code 0", "daemon",
        "7777/tcp", "7778/tcp", "removed /etc/inetd.conf (one line)", "portside-7778 is switched off", "code 0",
    ], done.stderr  # fmt: skip


def portside(space, *words):
    return space.run(["env", f"PYTHONPATH={SOURCE}", sys.executable, "-m", "portside", *words])


def test_files_can_be_looked_at_for_any_manager(space):
    done = portside(space, "install", "40001", "--print", "--for", "inetd", "--", "/bin/cat")
    assert done.stdout.splitlines()[1] == "40001\tstream\ttcp\tnowait\tnobody\t/bin/cat\tcat"
    assert "lies in the ephemeral range: any connection may be given it first" in done.stderr
    done = portside(
        space, "install", "80", "--print", "--json", "--for", "systemd", "--", "/bin/cat", "--own", "-u"
    )
    item = json.loads(done.stdout)["items"][0]
    assert [file["path"] for file in item["files"]] == [
        "/etc/systemd/system/portside-80.socket", "/etc/systemd/system/portside-80.service",
    ]  # fmt: skip
    assert (
        "ExecStart=/bin/cat --own -u\n" in item["files"][1]["text"]
    )  # behind -- everything is the command's


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["80", "--", "no-such-program"], "there is no such program"),
        (["80"], "there is no command"),
        (["0", "--", "/bin/cat"], "from 1 to 65535"),
        (["53/sctp", "--", "/bin/cat"], "TCP or UDP"),
        (["80", "--own", "--inetd", "--", "/bin/cat"], "exclude each other"),
        (["80", "--to", "x", "--", "/bin/cat"], "no [HOST:]PORT"),
        (["80", "--own", "--for", "xinetd", "--", "/bin/cat"], "leave --own out"),
        (["80", "--name", "a/b", "--for", "systemd", "--", "/bin/cat"], "a name is made of"),
        (["80", "--for", "launchd", "--", "/bin/cat"], "runs here; look at the files with --print"),
        (["80", "--unit", "x", "--", "/bin/cat"], "its own command and ports"),
    ],
)
def test_what_cannot_be_installed(space, words, text):
    done = portside(space, "install", *words)
    assert done.returncode == 2
    assert text in done.stderr
