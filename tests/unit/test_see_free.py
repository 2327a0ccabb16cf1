"""The plan to free a port: who is signalled, which unit is stopped, what is left, from made-up sockets."""

from __future__ import annotations

import os

import pytest

from portside.see.free import Around, Choice, Close, Left, Signal, Stop, engine_line, plan, transports
from portside.see.records import Container, Endpoint, Owner, Process, Socket
from portside.system import systemctl

BOOTED = Around(pid=900, ancestors=(800, 1), systemd=True)
DOCKER = Container("docker", "ab" * 32, "web")


def process(pid, name="web", **more) -> Process:
    return Process(pid, name, **{"start_ticks": pid, "uid": 33, "user": "www"} | more)


def socket(*holders, number=80, **more) -> Socket:
    owners = tuple(Owner(one.pid, 3, one) for one in holders)
    fields = {"type": "stream", "protocol": "tcp", "state": "listen", "inode": 7, "owners": owners}
    fields |= {"local": Endpoint("0.0.0.0", number), "remote": Endpoint("0.0.0.0"), "user": "www"}
    return Socket(family="inet", **fields | more)


def planned(*sockets, choice=Choice(), around=BOOTED):  # noqa: B008 (frozen)
    return plan(80, "", sockets, choice, around)


def test_holders_are_signalled_oldest_first():
    made = planned(socket(process(30), process(20)), socket(process(40), inode=8))
    assert [(step.process.pid, step.held) for step in made.steps] == [
        (20, ((3, 7),)), (30, ((3, 7),)), (40, ((3, 8),)),
    ]  # fmt: skip
    assert made.left == ()


def test_only_what_is_in_the_way_counts():
    made = planned(
        socket(process(20), state="established", remote=Endpoint("10.0.0.1", 5000)),
        socket(process(30), number=81),
        socket(process(40), state="bound-inactive"),
        socket(process(50), type="dgram", protocol="udp", state="unconnected"),
        socket(process(60), type="dgram", protocol="udp", state="established"),
    )
    assert [step.process.pid for step in made.steps] == [40, 50]
    assert len(made.connections) == 2
    assert transports(made) == ("tcp", "udp")


@pytest.mark.parametrize(
    ("unit", "step"),
    [
        ("nginx.service", Stop(("nginx.service",))),
        ("app-foo.service (user 1000)", Stop(("app-foo.service",), 1000)),
        ("session-3.scope", None),
        ("user@1000.service", None),
        ("own.service", None),  # to stop it would end the asking process
        ("", None),
    ],
)
def test_what_systemd_would_start_again_is_stopped(unit, step):
    holder = process(20, unit=unit)
    around = BOOTED.replace(unit="own.service")
    expected = (step,) if step else (Signal(holder, ((3, 7),)),)
    assert planned(socket(holder), around=around).steps == expected
    assert planned(socket(holder), choice=Choice(process=True), around=around).steps == (
        Signal(holder, ((3, 7),)),
    )
    assert planned(socket(holder), around=around.replace(systemd=False)).steps == (Signal(holder, ((3, 7),)),)


def test_socket_activation_is_stopped_as_a_whole():
    """The service alone would leave the socket, the socket alone the service with its descriptor."""
    manager = process(1, "systemd", exe="/usr/lib/systemd/systemd", uid=0, unit="init.scope")
    service = process(20, unit="web.service")
    made = planned(socket(manager, service, socket_unit="web.socket"))
    assert made.steps == (Stop(("web.socket", "web.service")),)


def test_a_user_s_manager_is_asked_by_uid():
    manager = process(700, "systemd", exe="/usr/lib/systemd/systemd", uid=1000, unit="user@1000.service")
    assert planned(socket(manager, socket_unit="web.socket")).steps == (Stop(("web.socket",), 1000),)


def test_the_init_process_is_never_signalled():
    made = planned(socket(process(1, "systemd", exe="/usr/lib/systemd/systemd")), choice=Choice(process=True))
    assert made.steps == ()
    assert "its socket unit is not known" in made.left[0].why
    assert planned(socket(process(1, "tini"))).steps == ()


def test_a_container_is_left_to_its_engine():
    holder = process(20, unit="docker.service", container=DOCKER)
    made = planned(socket(holder))
    assert made.steps == ()
    assert made.left == (
        Left(
            "web 20",
            "it belongs to the docker container 'web', whose engine would start it again",
            "run 'docker stop web', or insist with --process",
        ),
    )
    insisted = planned(socket(holder), choice=Choice(process=True))
    assert insisted.steps == (Signal(holder, ((3, 7),)),)


def test_inside_the_container_its_processes_are_ordinary():
    holder = process(20, container=DOCKER)
    assert planned(socket(holder), around=BOOTED.replace(container=DOCKER.id)).steps


@pytest.mark.parametrize(
    ("container", "line"),
    [
        (Container("podman", "c" * 64), "podman stop cccccccccccc"),
        (Container("containerd", "c" * 64, "web"), "nerdctl stop web"),
        (Container("cri-o", "c" * 64), "crictl stop cccccccccccc"),
        (Container("lxc", "web", "web"), "lxc-stop --name web"),
        (Container("nspawn", "web", "web"), "machinectl poweroff web"),
        (Container("kubernetes", "c" * 64, pod="1-2"), "kubectl delete pod (uid 1-2)"),
    ],
)
def test_each_engine_has_its_line(container, line):
    assert engine_line(container) == line


@pytest.mark.parametrize(
    ("gap", "more", "why", "next_step"),
    [
        ("kernel", {"kernel": "wireguard wg0"}, "the kernel holds it (wireguard wg0)", "remove the link"),
        ("permission", {}, "it is www's, and its process may not be seen", "run it with sudo"),
        ("other-pid-namespace", {}, "another pid namespace", "run it in the host's"),
        ("in-flight", {}, "under way between processes", "try again"),
        ("gone", {}, "no process was seen to hold it (gone)", "try again"),
    ],
)
def test_what_nobody_can_be_signalled_for_is_left(gap, more, why, next_step):
    made = planned(socket(owner_gap=gap, **more))
    assert made.steps == ()
    assert why in made.left[0].why
    assert made.left[0].next_step.startswith(next_step)


def test_one_that_may_not_be_signalled_leaves_the_whole():
    made = planned(socket(process(20), process(30)), around=BOOTED.replace(refused=(30,)))
    assert [left.what for left in made.left] == ["web 30"]


def test_this_very_process_is_never_ended():
    made = planned(socket(process(900, "python3")))
    assert made.left[0].why == "that is this very process"


def test_an_ancestor_is_marked():
    assert planned(socket(process(800, "sshd"))).steps[0].ours


def test_sockets_alone():
    """Those in the way and the shadows of connections; what is established stays."""
    listener, shadow = socket(process(20)), socket(state="time-wait", inode=0)
    made = planned(listener, shadow, socket(state="established"), choice=Choice(socket=True))
    assert made.steps == (Close(listener), Close(shadow))
    assert len(made.connections) == 1


@pytest.mark.parametrize(
    ("user", "line"),
    [
        (None, "systemctl stop a.socket"),
        (os.geteuid(), "systemctl --user stop a.socket"),
        (os.geteuid() + 1, f"systemctl --user --machine={os.geteuid() + 1}@.host stop a.socket"),
    ],
)
def test_systemctl_lines(user, line):
    assert " ".join(systemctl.command(("stop", "a.socket"), user)) == line
