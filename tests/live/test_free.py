"""free: the processes that hold a port end, nobody else does, and what is said of the port afterwards is true."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.support import require

from portside.see import free, freeing
from portside.see.free import Choice
from portside.testing.namespaces import become

SOURCE = Path(__file__).resolve().parents[2] / "src"
NOBODY = 65534
PORT = 8080
QUICK = Choice(grace=0.3)  # for what has to be killed
PATIENT = Choice(grace=20)  # for what ends by itself, however busy the machine is
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SOURCE)}

HEAD = """
import os, signal, socket, sys, time
def listener(reuse=True, port=8080, host="127.0.0.1"):
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    made.bind((host, port))
    made.listen()
    return made
def ready(*words):
    print("ready", *words, flush=True)
"""


@pytest.fixture
def stage(space):
    """Start programs in the namespace: each is a script's end, and says `ready` when it stands."""
    with contextlib.ExitStack() as stack:

        def start(script, uid=None):
            program = subprocess.Popen(
                [sys.executable, "-c", HEAD + textwrap.dedent(script)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, preexec_fn=lambda: space.enter(uid), process_group=0,
            )  # fmt: skip
            stack.callback(end, program)
            program.words = program.stdout.readline().split()
            assert program.words[:1] == ["ready"]
            return program

        yield start


def end(program):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, 9)
    program.wait(10)
    program.stdin.close()
    program.stdout.close()


def freed(choice=PATIENT, port=PORT, protocol="", between=None):
    """Plan and carry out, as the command does; `between` runs after the look."""
    plan = freeing.make_plan(port, protocol, choice)
    if between is not None:
        between()
    result = freeing.carry_out(plan, choice)
    return plan, result, bindable(port)


def bindable(port):
    """Whether a server could have the port: by bind and listen themselves."""
    with socket.socket() as attempt:
        try:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(("", port))
            attempt.listen()
        except OSError:
            return False
    return True


def hows(result):
    return sorted({outcome.how for outcome in result.outcomes})


def alive(program):
    return program.poll() is None


ONE = "held = listener(); ready(); time.sleep(60)"
HOLDERS = {
    "listening": ONE,
    "ipv6": 'held = listener(host="::1"); ready(); time.sleep(60)',
    "bound, not listening": 'held = socket.socket(); held.bind(("", 8080)); ready(); time.sleep(60)',
    "udp": 'held = socket.socket(type=socket.SOCK_DGRAM); held.bind(("", 8080)); ready(); time.sleep(60)',
}


@pytest.mark.parametrize("role", HOLDERS)
def test_whatever_holds_it_ends(space, stage, role):
    holder = stage(HOLDERS[role])
    plan, result, can_bind = space.call(freed)
    assert holder.wait(5) == -15
    assert (hows(result), result.bindable, result.why, can_bind) == (["ended by TERM"], "plainly", "", True)
    assert [step.process.pid for step in plan.steps] == [holder.pid]


def test_a_stopped_process_ends(space, stage):
    """TERM would wait for ever: it is woken, so that it can act on it."""
    holder = stage("""
        def goodbye(*_):
            print("said goodbye", flush=True)
            sys.exit(3)
        signal.signal(15, goodbye)
        held = listener()
        ready()
        while True:  # Python looks for signals between two sleeps, not just before one
            time.sleep(0.1)
    """)
    holder.send_signal(19)
    _, result, _ = space.call(freed)
    assert (holder.wait(5), holder.stdout.read(), hows(result)) == (3, "said goodbye\n", ["ended by TERM"])


def test_one_that_ignores_term_is_killed_after_the_grace(space, stage):
    holder = stage("signal.signal(15, signal.SIG_IGN)\n" + ONE)
    _, result, can_bind = space.call(freed, QUICK)
    assert (holder.wait(5), hows(result), result.free, can_bind) == (-9, ["ended by KILL"], True, True)
    assert result.outcomes[0].seconds >= 0.3


def test_the_whole_forked_group_ends(space, stage):
    """Ending one of them would free nothing."""
    holder = stage("""
        held = listener()
        pids = []
        for _ in range(3):
            pids.append(os.fork())
            if not pids[-1]:
                time.sleep(60)
        ready(*pids)
        time.sleep(60)
    """)
    plan, result, can_bind = space.call(freed)
    pids = [holder.pid, *map(int, holder.words[1:])]
    assert [step.process.pid for step in plan.steps] == pids  # the parent first: it could start others
    assert (len(result.outcomes), result.bindable, can_bind) == (4, "plainly", True)
    assert not [pid for pid in pids[1:] if running(pid)]


def running(pid):
    """Whether a process runs: not gone, and not a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_with_sockets_of_their_own_end(space, stage):
    """SO_REUSEPORT: one port, four sockets."""
    script = """
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 8080))
        held.listen()
        ready()
        time.sleep(60)
    """
    workers = [stage(script) for _ in range(4)]
    _, result, can_bind = space.call(freed)
    assert [worker.wait(5) for worker in workers] == [-15] * 4
    assert (result.bindable, can_bind) == ("plainly", True)


def test_a_child_that_was_forked_after_the_look_ends_too(space, stage):
    """It has the very socket that was to go; it was not there to be shown."""
    holder = stage("""
        held = listener()
        def fork(*_):
            if not os.fork():
                signal.signal(15, signal.SIG_IGN)
                time.sleep(60)
            print("forked", flush=True)
        signal.signal(10, fork)
        ready()
        while True:
            time.sleep(1)
    """)

    def fork():
        os.kill(holder.pid, 10)
        assert holder.stdout.readline() == "forked\n"

    plan, result, can_bind = space.call(freed, QUICK, PORT, "", fork)
    assert len(plan.steps) == 1
    assert (len(result.outcomes), result.free, can_bind) == (2, True, True)


def test_who_merely_connects_is_not_hit(space, stage):
    server = stage("held = listener(); ready(); kept = held.accept(); time.sleep(60)")
    client = stage('made = socket.create_connection(("127.0.0.1", 8080)); ready(); time.sleep(60)')
    plan, result, _ = space.call(freed)
    assert (server.wait(5), alive(client)) == (-15, True)
    assert [step.process.pid for step in plan.steps] == [server.pid]
    assert result.free


def test_a_client_s_own_port_is_named_and_let_be(space, stage):
    """A connection that the kernel gave this port to keeps others from it; its program did not ask for it."""
    stage("held = listener(port=5000); ready(); kept = held.accept(); time.sleep(60)")
    client = stage("""
        made = socket.socket()
        made.bind(("127.0.0.1", 8080))
        made.connect(("127.0.0.1", 5000))
        ready()
        time.sleep(60)
    """)
    plan, result, can_bind = space.call(freed)
    assert (plan.steps, plan.left, result.free, can_bind, alive(client)) == ((), (), False, False, True)
    assert (
        f"1 connection on it, to 127.0.0.1:5000 (established) held by python3 {client.pid}"
        in result.why.replace(Path(sys.executable).name, "python3")
    )


def test_a_process_that_lets_go_and_goes_on_is_left_in_peace(space, stage):
    """A graceful server closes its listener at TERM and serves what it has."""
    holder = stage("""
        held = listener()
        signal.signal(15, lambda *_: held.close())
        ready()
        while True:
            time.sleep(1)
    """)
    _, result, can_bind = space.call(freed)
    assert (hows(result), result.bindable, can_bind) == (["let go of the port, and goes on"], "plainly", True)
    assert alive(holder)


def test_who_is_started_again_is_told_and_not_hunted(space, stage):
    """Like a supervisor: it has a new one as soon as the old one ends."""
    keeper = stage("""
        def start():
            pid = os.fork()
            if not pid:
                held = listener()
                time.sleep(60)
            return pid
        made = start()
        while not any(":1F90" in line for line in open("/proc/net/tcp")):
            time.sleep(0.01)
        ready()
        while True:
            os.waitpid(made, 0)
            made = start()
    """)
    _, result, can_bind = space.call(freed)
    assert (result.bindable, can_bind) == ("no", False)
    assert result.why.startswith("taken again by ")
    assert result.why.endswith(f" {keeper.pid} started")
    assert result.next_step.startswith("stop ")


def test_the_pid_s_next_owner_is_not_hit(space):
    """The holder ends after the look, and a stranger gets its pid (and, to make it worse, its port)."""
    require(os.geteuid() == 0, "needs root, for a pid namespace in which pids can be chosen")
    script = HEAD + textwrap.dedent("""
        from portside.see import freeing
        from portside.see.free import Choice

        def start():
            reader, writer = os.pipe()
            pid = os.fork()
            if not pid:
                held = listener()
                os.write(writer, b"1")
                time.sleep(60)
            os.read(reader, 1)
            return pid

        first = start()
        plan = freeing.make_plan(8080, "", Choice())
        assert [step.process.pid for step in plan.steps] == [first]
        os.kill(first, 9)
        os.waitpid(first, 0)
        time.sleep(0.02)  # start times are told in hundredths of a second
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(first - 1))
        second = start()
        assert second == first, (first, second)
        result = freeing.carry_out(plan, Choice(grace=0.3))
        print(os.waitpid(second, os.WNOHANG), [one.how for one in result.outcomes], result.why)
        os.kill(second, 9)
    """)
    done = space.run(
        [
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            "env",
            f"PYTHONPATH={SOURCE}",
            sys.executable,
            "-c",
            script,
        ]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "(0, 0) ['not signalled: another process has its pid by now'] taken again by "
    )


def test_a_descriptor_that_is_another_file_s_by_now_is_no_reason_to_signal(space, stage):
    holder = stage("""
        held = listener()
        def swap(*_):
            number = held.fileno()
            held.close()
            assert os.open("/dev/null", os.O_RDONLY) == number
            print("swapped", flush=True)
        signal.signal(10, swap)
        ready()
        while True:
            time.sleep(1)
    """)

    def swap():
        os.kill(holder.pid, 10)
        assert holder.stdout.readline() == "swapped\n"

    _, result, _ = space.call(freed, QUICK, PORT, "", swap)
    assert hows(result) == ["not signalled: it holds the socket no more"]
    assert (result.free, alive(holder)) == (True, True)


def test_another_user_s_process_is_left_without_root(space, stage):
    require(os.geteuid() == 0, "needs root, to be two users")
    holder = stage(ONE)

    def as_nobody():
        freeing.make_plan(9, "", QUICK)  # what is imported late must be read by root
        become(NOBODY)
        return freeing.make_plan(PORT, "", QUICK)

    plan = space.call(as_nobody)
    assert (plan.steps, alive(holder)) == ((), True)
    assert "root's, and its process may not be seen" in plan.left[0].why
    assert plan.left[0].next_step == "run it with sudo"


def test_time_wait_is_told_and_can_be_ended(space, stage):
    require(os.geteuid() == 0, "needs root, to close sockets")
    stage("""
        held = listener()
        client = socket.create_connection(("127.0.0.1", 8080))
        accepted = held.accept()[0]
        accepted.close()
        client.close()
        held.close()
        ready()
        time.sleep(60)
    """)
    plan, result, _ = space.call(freed)
    assert (plan.steps, result.bindable) == ((), "with-reuseaddr")
    assert result.why.startswith("1 connection on it in time-wait for ")
    assert result.next_step == "to end it now: portside free 8080 --socket"
    plan, result, _ = space.call(freed, Choice(socket=True))
    assert (len(plan.steps), result.bindable) == (1, "plainly")


def test_the_socket_alone(space, stage):
    """The process goes on; the kernel keeps its bind until it closes the descriptor."""
    require(os.geteuid() == 0, "needs root, to close sockets")
    holder = stage(ONE)
    _, result, can_bind = space.call(freed, Choice(socket=True))
    assert (hows(result), result.bindable, can_bind, alive(holder)) == (
        ["closed"],
        "with-reuseaddr",
        True,
        True,
    )
    assert "has it bound until it closes the descriptor" in result.why


def test_closing_sockets_takes_a_right(space, stage):
    require(os.geteuid() == 0, "needs root, to be another user")
    stage(ONE)

    def as_nobody():
        freed(Choice(socket=True), 9)
        become(NOBODY)
        return freed(Choice(socket=True))[1]

    result = space.call(as_nobody)
    assert hows(result) == ["it takes CAP_NET_ADMIN; run it with sudo"]
    assert not result.free


def test_a_unit_is_stopped_by_its_manager(space, stage):
    """systemctl is a stand-in here: no systemd runs where these tests do."""
    holder = stage(ONE)

    def stopped():
        lines = []

        def systemctl(line):
            lines.append(line)
            os.kill(holder.pid, 15)
            while running(holder.pid):  # as systemctl does, which waits for the job
                time.sleep(0.01)

        plan = freeing.make_plan(PORT, "", QUICK)
        step = free.Stop(("web.socket", "web.service"))
        return freeing.carry_out(plan.replace(steps=(step,)), QUICK, run=systemctl), lines

    result, lines = space.call(stopped)
    assert (hows(result), result.free) == (["stopped"], True)
    assert lines == [("systemctl", "stop", "web.socket", "web.service")]


def portside(space, *words, uid=None):
    return space.run(["env", f"PYTHONPATH={SOURCE}", sys.executable, "-m", "portside", *words], uid=uid)


def test_the_command_shows_and_does_nothing_unasked(space, stage):
    holder = stage(ONE)
    done = portside(space, "free", "8080", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "8080 is taken: tcp 127.0.0.1 (listen)"
    assert f" {holder.pid}, " in done.stdout.splitlines()[1]
    done = portside(space, "free", "8080")
    assert done.returncode == 2
    assert "there is no terminal to ask on; add --yes" in done.stderr
    assert alive(holder)


def test_the_command_s_json(space, stage):
    holder = stage(ONE)
    done = portside(space, "free", "8080/tcp", "--yes", "--json")
    item = json.loads(done.stdout)["items"][0]
    assert (done.returncode, holder.wait(5)) == (0, -15)
    assert (item["port"], item["protocol"], item["free"], item["bindable"]) == (8080, "tcp", True, "plainly")
    [step] = item["steps"]
    assert (step["action"], step["process"]["pid"], step["done"], step["how"]) == (
        "signal", holder.pid, True, "ended by TERM",
    )  # fmt: skip


def test_the_command_s_exit_codes(space, stage):
    assert portside(space, "free", "8080").returncode == 0  # it was free before
    require(os.geteuid() == 0, "needs root, to be another user")
    stage(ONE)
    program = [sys.executable, "-c", AS_NOBODY]
    done = space.run(["env", f"PYTHONPATH={SOURCE}", *program])
    assert done.returncode == 2
    assert "nothing was done, because the port would stay taken" in done.stderr
    assert "run it with sudo" in done.stdout


AS_NOBODY = """
import sys
from portside.cli import main
from portside.testing.namespaces import become
main(["free", "9", "--yes"])
become(65534)
sys.exit(main(["free", "8080", "--yes"]))
"""


@pytest.mark.parametrize(("answer", "code", "ends"), [("n\n", 1, False), ("\n", 1, False), ("y\n", 0, True)])
def test_the_command_asks_on_a_terminal(space, stage, answer, code, ends):
    holder = stage(ONE)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "portside", "free", "8080"]
    asking = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT, preexec_fn=space.enter
    )
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 4096)
    assert alive(holder)
    os.write(ours, answer.encode())
    with contextlib.suppress(OSError):  # the terminal's end
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    assert asking.wait(10) == code, shown
    deadline = time.monotonic() + 2
    while ends and alive(holder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive(holder) is not ends
