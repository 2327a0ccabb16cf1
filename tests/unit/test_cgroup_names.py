# ruff: noqa: E501
"""Paths as hosts write them: systemd's own test table, and those of the container engines in their documents,
issues and tests, under v1 and v2 and both cgroup drivers."""

import pytest

from portside.wire.cgroup import CgroupNames, ContainerId, parse_path, unescape

A = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
B = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d"
POD = "045b1e35-7f13-11e7-ac42-0050568ffca0"
POD_ = POD.replace("-", "_")
STATIC = "2fd3c1e74d5f6a7b8c9d0e1f2a3b4c5d"
K8S = f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{POD_}.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("path", "text", "slice"),
    [
        ("/system.slice/ssh.service", "ssh.service", "system.slice"),
        ("/system.slice/foobar.service/sdfdsaf", "foobar.service", "system.slice"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "system-getty.slice"),
        ("/system.slice/system-openvpn\\x2dserver.slice/openvpn-server@vpn.service", "openvpn-server@vpn.service", "system-openvpn\\x2dserver.slice"),
        ("/system.slice/dev-disk-by\\x2duuid-1.swap", "dev-disk-by\\x2duuid-1.swap", "system.slice"),
        ("/system.slice/system-waldo.slice/_cpu.service/sdfdsaf", "cpu.service", "system-waldo.slice"),
        ("/init.scope", "init.scope", ""),
        ("/azure.slice/walinuxagent.service", "walinuxagent.service", "azure.slice"),
        ("/system.slice/docker.service", "docker.service", "system.slice"),
        ("/system.slice/ssh@0-10.0.0.1:22-10.0.0.2:50000.service", "ssh@0-10.0.0.1:22-10.0.0.2:50000.service", "system.slice"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "user-1000.slice"),
        ("/user.slice/user-1000.slice/session-c2.scope", "session-c2.scope", "user-1000.slice"),
        (f"{USER}/app.slice/app-foo.service", "app-foo.service (user 1000)", "user-1000.slice"),
        (f"{USER}/app.slice/app-gnome-firefox\\x2desr-4711.scope", "app-gnome-firefox\\x2desr-4711.scope (user 1000)", "user-1000.slice"),
        (f"{USER}/server.service", "server.service (user 1000)", "user-1000.slice"),
        (f"{USER}/init.scope", "init.scope (user 1000)", "user-1000.slice"),
        (f"{USER}/session.slice/dbus.service", "dbus.service (user 1000)", "user-1000.slice"),
        (USER, "user@1000.service", "user-1000.slice"),
        ("/user.slice/user-1000.slice/session-2.scope/waldo.slice/foobar.service", "foobar.service (user 1000)", "user-1000.slice"),
        ("/../../system.slice/ssh.service", "ssh.service", "system.slice"),
        ("/../user-1000.slice/session-9.scope", "session-9.scope", "user-1000.slice"),
        ("/system.slice/getty@.service", "", "system.slice"),
        ("/system.slice/getty####@tty6.service/xxx", "", "system.slice"),
        ("/user/1000.user/c2.session", "", ""),
        ("/", "", ""),
        ("/..", "", ""),
        ("", "", ""),
        ("sadfdsafsda", "", ""),
        ("/user.slice", "", "user.slice"),
    ],
)  # fmt: skip
def test_units(path, text, slice):
    names = parse_path(path)
    assert (str(names), names.slice, names.container) == (text, slice, None)


def test_a_user_unit_keeps_the_system_unit_and_the_user():
    assert parse_path(f"{USER}/app.slice/app-foo.service") == CgroupNames(
        unit="user@1000.service", user_unit="app-foo.service", uid=1000, slice="user-1000.slice"
    )


@pytest.mark.parametrize(
    ("path", "engine", "id", "pod"),
    [
        # Docker
        (f"/docker/{A}", "docker", A, ""),
        (f"/system.slice/docker-{A}.scope", "docker", A, ""),
        (f"/system.slice/docker-{A}.scope/system.slice/nginx.service", "docker", A, ""),
        (f"/docker/{A}/docker/{B}", "docker", A, ""),
        (f"{USER}/user.slice/docker-{A}.scope", "docker", A, ""),
        (f"/system.slice:docker:{A}", "docker", A, ""),
        (f"/../{A}", "oci", A, ""),
        (f"/{A}", "oci", A, ""),
        (f"/actions_job/{A}", "oci", A, ""),
        (f"/ecs/2f1c9d0e-7d3a-4d0c-8a53-0a1b2c3d4e5f/{A}", "oci", A, ""),
        # Podman
        (f"/machine.slice/libpod-{A}.scope", "podman", A, ""),
        (f"/machine.slice/libpod-{A}.scope/container", "podman", A, ""),
        (f"{USER}/user.slice/libpod-{A}.scope/container", "podman", A, ""),
        (f"/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope", "podman", A, ""),
        (f"/libpod_parent/libpod-{A}", "podman", A, ""),
        (f"/libpod_parent/libpod-{A}/ctr", "podman", A, ""),
        (f"/machine.slice/libpod-conmon-{A}.scope", "podman", A, ""),
        (f"/system.slice/web.service/libpod-payload-{A}", "podman", A, ""),
        # containerd, nerdctl
        (f"/k8s.io/{A}", "containerd", A, ""),
        (f"/default/{A}", "containerd", A, ""),
        (f"/system.slice/nerdctl-{A}.scope", "containerd", A, ""),
        # Kubernetes, systemd driver
        (f"{K8S}/cri-containerd-{A}.scope", "containerd", A, POD),
        (f"{K8S}/docker-{A}.scope", "docker", A, POD),
        (f"{K8S}/crio-{A}.scope", "cri-o", A, POD),
        (f"{K8S}/crio-{A}.scope/container", "cri-o", A, POD),
        (f"{K8S}/crio-conmon-{A}.scope", "cri-o", A, POD),
        (f"/kubepods.slice/kubepods-pod{POD_}.slice/cri-containerd-{A}.scope", "containerd", A, POD),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC}.slice/crio-{A}.scope", "cri-o", A, STATIC),
        (f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{POD_}.slice/cri-containerd-{A}.scope", "containerd", A, POD),
        (f"/system.slice/containerd.service/kubepods-burstable-pod{POD_}.slice:cri-containerd:{A}", "containerd", A, POD),
        (f"/kubepods-besteffort-pod{POD_}.slice:cri-containerd:{A}", "containerd", A, POD),
        (f"/../../kubepods-besteffort-pod{POD_}.slice/cri-containerd-{A}.scope", "containerd", A, POD),
        # Kubernetes, cgroupfs driver
        (f"/kubepods/besteffort/pod{POD}/{A}", "kubernetes", A, POD),
        (f"/kubepods/burstable/pod{POD}/{A}/kube-proxy", "kubernetes", A, POD),
        (f"/kubepods/pod{POD}/{A}", "kubernetes", A, POD),
        (f"/kubepods/burstable/pod{POD}/crio-{A}", "cri-o", A, POD),
        (f"/docker/{B}/kubepods/burstable/pod{POD}/{A}", "docker", B, POD),
        # LXC: LXD, Incus, Proxmox, libvirt
        ("/lxc.payload.web", "lxc", "web", ""),
        ("/lxc.payload.web/system.slice/nginx.service", "lxc", "web", ""),
        ("/lxc.payload/web/init.scope", "lxc", "web", ""),
        ("/lxc/101/ns/init.scope", "lxc", "101", ""),
        ("/user.slice/user-1000.slice/session-3.scope/lxc/my-box", "lxc", "my-box", ""),
        (f"/lxc.payload.host/system.slice/docker-{A}.scope", "lxc", "host", ""),
        ("/machine.slice/machine-lxc\\x2d1234\\x2dweb.scope", "lxc", "web", ""),
        # nspawn
        ("/machine.slice/machine-my\\x2dbox.scope/payload", "nspawn", "my-box", ""),
        ("/machine.slice/systemd-nspawn@jammy.service/payload/system.slice/console-getty.service", "nspawn", "jammy", ""),
        ("/machine.slice/systemd-nspawn@my\\x2dbox.service", "nspawn", "my-box", ""),
    ],
)  # fmt: skip
def test_containers(path, engine, id, pod):
    name = id if engine in ("lxc", "nspawn") else ""
    assert parse_path(path).container == ContainerId(engine, id, name, pod)


@pytest.mark.parametrize(
    "path",
    [
        "/system.slice/docker.service",
        "/system.slice/docker.socket",
        "/system.slice/containerd.service",
        "/docker",
        "/system.slice/docker-.scope",
        "/system.slice/docker-compose.scope",
        f"/system.slice/docker-{A[1:]}Z.scope",
        "/libpod_parent/conmon",
        "/lxc.monitor.web",
        "/lxc.monitor/101",
        "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
        "/machine.slice/systemd-nspawn@web.service/supervisor",
        "/kubepods.slice/kubepods-burstable.slice",
        f"/{A[:63]}",
        "/lxc",
    ],
)
def test_no_containers(path):
    assert parse_path(path).container is None


def test_a_quadlet_has_a_unit_and_a_container():
    names = parse_path(f"/system.slice/web.service/libpod-payload-{A}")
    assert (names.unit, names.container.id) == ("web.service", A)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a\\x2db", "a-b"), ("plain", "plain"), ("\\xzz", "\\xzz"), ("end\\x", "end\\x"), ("\\xc3\\xa9", "é")],
)
def test_unescape(name, text):
    assert unescape(name) == text
