import json
import os
import pwd

import pytest

from portside.system.containers import ContainerFiles
from portside.wire import containers as wire
from portside.wire.cgroup import ContainerId

A = "a" * 64
B = "b" * 64


class Root:
    """A directory standing for / of a host."""

    def __init__(self, directory):
        self.path = str(directory)

    def write(self, path, value):
        full = self.path + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as file:
            file.write(value if isinstance(value, str) else json.dumps(value))

    def docker(self, id, name, address="", ports=None, running=True, top="/var/lib/docker"):
        """Write config.v2.json as Docker 25 does, shortened."""
        network = {"IPAMConfig": None, "Gateway": "172.17.0.1", "IPAddress": address, "GlobalIPv6Address": ""}
        config = {
            "StreamConfig": {},
            "State": {"Running": running, "Paused": False, "Pid": 43811 if running else 0},
            "ID": id,
            "Path": "stress",
            "NetworkSettings": {
                "Bridge": "",
                "Networks": {"bridge": network},
                "Service": None,
                "Ports": ports,
                "SandboxKey": "/var/run/docker/netns/35d1d50d6158",
            },
            "Name": "/" + name,
            "Driver": "overlay2",
        }
        self.write(f"{top}/containers/{id}/config.v2.json", config)


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def name_of(root, engine, id=A, uid=None):
    return ContainerFiles(root.path).name(ContainerId(engine, id), uid).name


def test_docker(root):
    root.docker(A, "web")
    assert name_of(root, "docker") == "web"
    assert name_of(root, "docker", B) == ""


def test_docker_in_another_data_root(root):
    root.write("/etc/docker/daemon.json", {"data-root": "/srv/docker"})
    root.docker(A, "moved", top="/srv/docker")
    assert name_of(root, "docker") == "moved"


def test_docker_of_a_snap(root):
    root.docker(A, "snapped", top="/var/snap/docker/common/var-lib-docker")
    assert name_of(root, "docker") == "snapped"


STORAGE = [
    {
        "id": A,
        "names": ["contenedor1"],
        "image": "d7af",
        "layer": "67b0",
        "metadata": "{}",
        "created": "2024",
    },
    {"id": B, "image": "d7af"},
]


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/containers/storage/overlay-containers/containers.json",
        "/var/lib/containers/storage/vfs-containers/containers.json",
        "/run/containers/storage/overlay-containers/volatile-containers.json",
    ],
)
def test_podman_of_root(root, path):
    root.write(path, STORAGE)
    assert name_of(root, "podman") == "contenedor1"
    assert name_of(root, "podman", B) == ""


def test_podman_of_a_user(root):
    user = next(entry for entry in pwd.getpwall() if entry.pw_uid and entry.pw_dir.startswith("/"))
    root.write(f"{user.pw_dir}/.local/share/containers/storage/overlay-containers/containers.json", STORAGE)
    assert name_of(root, "podman", uid=user.pw_uid) == "contenedor1"
    assert name_of(root, "podman") == ""


def test_podman_of_a_user_while_it_runs(root):
    root.write("/run/user/4711/containers/overlay-containers/volatile-containers.json", STORAGE)
    assert name_of(root, "podman", uid=4711) == "contenedor1"


CRI = {
    "io.kubernetes.cri.container-name": "hostname",
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-id": B,
    "io.kubernetes.cri.sandbox-name": "hostname-lb-edge-64df67bd8b-xmzhv",
    "io.kubernetes.cri.sandbox-namespace": "default",
}


@pytest.mark.parametrize("top", ["/run/containerd", "/run/k3s/containerd"])
def test_containerd_of_kubernetes(root, top):
    root.write(f"{top}/io.containerd.runtime.v2.task/k8s.io/{A}/config.json", {"annotations": CRI})
    assert name_of(root, "containerd") == "default/hostname-lb-edge-64df67bd8b-xmzhv/hostname"


def test_the_engine_is_learnt_where_the_path_does_not_tell(root):
    root.write(f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{A}/config.json", {"annotations": CRI})
    found = ContainerFiles(root.path).name(ContainerId("kubernetes", A, pod="uid"))
    assert (found.engine, found.pod) == ("containerd", "uid")


def test_nerdctl_label(root):
    labels = {"nerdctl/name": "web", "nerdctl/namespace": "default"}
    root.write(
        f"/run/containerd/io.containerd.runtime.v2.task/default/{A}/config.json", {"annotations": labels}
    )
    assert name_of(root, "containerd") == "web"


def test_nerdctl_name_store(root):
    root.write("/var/lib/nerdctl/1935db59/names/default/web", A + "\n")
    assert name_of(root, "containerd") == "web"


def test_crio(root):
    notes = {
        "io.kubernetes.container.name": "etcd",
        "io.kubernetes.pod.name": "etcd-node1",
        "io.kubernetes.pod.namespace": "kube-system",
    }
    root.write(f"/run/containers/storage/overlay-containers/{A}/userdata/config.json", {"annotations": notes})
    assert name_of(root, "cri-o") == "kube-system/etcd-node1/etcd"


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("k8s_coredns_coredns-5d78c-8xk2p_kube-system_045b1e35_0", "kube-system/coredns-5d78c-8xk2p/coredns"),
        ("k8s_POD_coredns-5d78c-8xk2p_kube-system_045b1e35_0", "kube-system/coredns-5d78c-8xk2p"),
    ],
)  # fmt: skip
def test_crio_from_its_storage(root, stored, name):
    index = [{"id": A, "names": [stored]}]
    root.write("/var/lib/containers/storage/overlay-containers/containers.json", index)
    assert name_of(root, "cri-o") == name


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"ID": 5}', '{"ID": "x", "NetworkSettings": [1], "Name": 7}']
)
def test_files_that_are_not_what_they_should_be_give_no_name(root, text):
    for path in (
        f"/var/lib/docker/containers/{A}/config.v2.json",
        "/var/lib/containers/storage/overlay-containers/containers.json",
        f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{A}/config.json",
    ):
        root.write(path, text)
    assert name_of(root, "oci") == ""


def test_names_in_paths_are_kept_and_nothing_is_read(root):
    files = ContainerFiles(root.path + "/missing")
    assert files.name(ContainerId("lxc", "web", "web")).name == "web"


# docker-proxy, as `ps` shows it before and since Docker 28.
PORTS = "-host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80"
PROXY = f"/usr/bin/docker-proxy -proto tcp {PORTS}"


@pytest.mark.parametrize(
    "line",
    [
        PROXY,
        PROXY + " -use-listen-fd",
        "docker-proxy --proto=tcp --host-ip=:: --host-port=8080 --container-ip=172.17.0.2 --container-port=80",
        "/usr/bin/rootlesskit-docker-proxy" + PROXY.removeprefix("/usr/bin/docker-proxy"),
    ],
)
def test_docker_proxy_names_the_container_it_serves(root, line):
    root.docker(A, "web", "172.17.0.2")
    root.docker(B, "db", "172.17.0.3")
    assert ContainerFiles(root.path).proxied(line.split()) == ContainerId("docker", A, "web")


def test_docker_proxy_of_a_container_whose_address_was_another_s_before(root):
    root.docker(A, "stopped", "172.17.0.2", running=False)
    root.docker(B, "web", "172.17.0.2")
    assert ContainerFiles(root.path).proxied(PROXY.split()).name == "web"


def test_docker_proxy_by_the_published_port(root):
    root.docker(
        A, "web", "10.0.0.9", {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None}
    )
    assert ContainerFiles(root.path).proxied(PROXY.split()).name == "web"
    assert ContainerFiles(root.path).publisher("udp", 8080) is None


@pytest.mark.parametrize("argv", [(), ("nginx",), ("docker-proxy",), ("docker-proxy", "-container-ip")])
def test_other_commands_serve_no_container(root, argv):
    assert ContainerFiles(root.path).proxied(argv) is None


def test_proxy_target():
    assert wire.proxy_target(PROXY.split()) == wire.ProxyTarget("tcp", "0.0.0.0", 8080, "172.17.0.2", 80)


def test_conmon():
    assert wire.monitored_container(["/usr/bin/conmon", "--api-version", "1", "-c", A, "-u", A]) == A
    assert wire.monitored_container(["/usr/libexec/crio/conmon", "-b", "/run", "--cid=" + B]) == B
    assert wire.monitored_container(["sh", "-c", A]) == ""
