"""Names of containers, from the files that the engines keep for themselves.

Rule: only reading, and only where a name is asked for; a file that is missing or may not be read (most need root)
gives an empty name and is noted in `denied`.  No daemon is asked: that would need its socket, and trust.

Where each engine keeps them, below `root`:

- Docker: `/var/lib/docker` (or `data-root` of daemon.json, snap's, a rootless user's) `/containers/ID/config.v2.json`
- Podman and CRI-O: `containers.json` and `volatile-containers.json` of containers/storage, for root in
  `/var/lib/containers/storage` and `/run/containers/storage`, for a user in `~/.local/share/containers/storage` and
  `/run/user/UID/containers`; CRI-O also has `userdata/config.json` there
- containerd: `/run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID/config.json` (k3s: below `/run/k3s`);
  nerdctl also has a file for each name, with the id in it, in `/var/lib/nerdctl/HASH/names/NAMESPACE`

LXC and nspawn containers have their names in the cgroup path.  Parsing is in `portside.wire.containers`.
"""

from __future__ import annotations

import os

from portside.system.files import read_small
from portside.wire import containers as wire
from portside.wire.cgroup import ContainerId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DOCKER_ROOTS = ("/var/lib/docker", "/var/snap/docker/common/var-lib-docker")
DOCKER_CONFIG = "/etc/docker/daemon.json"
STORAGE_ROOTS = ("/var/lib/containers/storage", "/run/containers/storage")
CONTAINERD_STATES = (
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/k3s/containerd/io.containerd.runtime.v2.task",
    "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
)
NERDCTL_ROOT = "/var/lib/nerdctl"


class ContainerFiles:
    """Finds names of containers; keeps what it read, so make a new one for each snapshot."""

    def __init__(self, root: str = "") -> None:
        self.root = root.rstrip("/")
        self.denied: set[str] = set()
        self._named: dict[tuple[ContainerId, int | None], ContainerId] = {}
        self._storage: dict[str, dict[str, str]] = {}
        self._docker: list[wire.DockerContainer] | None = None
        self._nerdctl: dict[str, str] | None = None

    def name(self, container: ContainerId, uid: int | None = None) -> ContainerId:
        """Return the container with its name, and its engine where the path did not tell it.

        `uid` is the owner of the cgroup, whose rootless engines are asked as well.
        """
        key = container, uid
        if key not in self._named:
            self._named[key] = container if container.name else self._find(container, uid)
        return self._named[key]

    def proxied(self, argv: Sequence[str]) -> ContainerId | None:
        """Return the container that a docker-proxy with this command line serves."""
        target = wire.proxy_target(argv)
        if target is None:
            return None
        for one in self._running():
            if target.address in one.addresses:
                return ContainerId("docker", one.id, one.name)
        return self.publisher(target.protocol, target.host_port)

    def publisher(self, protocol: str, port: int) -> ContainerId | None:
        """Return the Docker container that publishes a port of the host, if exactly one does."""
        found = [
            one for one in self._running() if any(p[0] == protocol and p[2] == port for p in one.published)
        ]
        return ContainerId("docker", found[0].id, found[0].name) if len(found) == 1 else None

    def _find(self, container: ContainerId, uid: int | None) -> ContainerId:
        for engine in _engines(container.engine):
            if engine == "docker":
                name = self._docker_name(container.id, uid)
            elif engine == "containerd":
                name = self._containerd_name(container.id)
            else:
                name = self._storage_name(container.id, uid)
            if name:
                return container.replace(engine=engine, name=name)
        return container

    def _docker_name(self, id: str, uid: int | None) -> str:
        for top in self._docker_roots(uid):
            found = wire.parse_docker(self._read(f"{top}/containers/{id}/config.v2.json"))
            if found:
                return found.name
        return ""

    def _containerd_name(self, id: str) -> str:
        for top in CONTAINERD_STATES:
            for namespace in self._list(top):
                name = wire.parse_bundle(self._read(f"{top}/{namespace}/{id}/config.json"))
                if name:
                    return name
        if self._nerdctl is None:
            self._nerdctl = dict(self._nerdctl_names())
        return self._nerdctl.get(id, "")

    def _nerdctl_names(self) -> Iterator[tuple[str, str]]:
        for store in self._list(NERDCTL_ROOT):
            names = f"{NERDCTL_ROOT}/{store}/names"
            for namespace in self._list(names):
                for name in self._list(f"{names}/{namespace}"):
                    yield self._read(f"{names}/{namespace}/{name}").decode("ascii", "replace").strip(), name

    def _storage_name(self, id: str, uid: int | None) -> str:
        for top in (*STORAGE_ROOTS, *_rootless_storage(uid)):
            name = self._storage_names(top).get(id)
            if name:
                return name
        for top in reversed(STORAGE_ROOTS):
            name = wire.parse_bundle(self._read(f"{top}/overlay-containers/{id}/userdata/config.json"))
            if name:
                return name
        return ""

    def _storage_names(self, top: str) -> dict[str, str]:
        """Read every index of one storage: one directory for each storage driver."""
        if top not in self._storage:
            names: dict[str, str] = {}
            for driver in self._list(top):
                if driver.endswith("-containers"):
                    for index in ("containers.json", "volatile-containers.json"):
                        names |= wire.parse_storage(self._read(f"{top}/{driver}/{index}"))
            self._storage[top] = names
        return self._storage[top]

    def _docker_roots(self, uid: int | None = None) -> list[str]:
        moved = wire.parse_data_root(self._read(DOCKER_CONFIG))
        rootless = [f"{home}/.local/share/docker" for home in _homes(uid)]
        return [*([moved] if moved else []), *DOCKER_ROOTS, *rootless]

    def _running(self) -> list[wire.DockerContainer]:
        """Read the configuration of every Docker container that runs."""
        if self._docker is None:
            tops = self._docker_roots()
            paths = [
                f"{top}/containers/{id}/config.v2.json"
                for top in tops
                for id in self._list(f"{top}/containers")
            ]
            found = [wire.parse_docker(self._read(path)) for path in paths]
            self._docker = [one for one in found if one and one.running]
        return self._docker

    def _read(self, path: str) -> bytes:
        try:
            return read_small(self.root + path)
        except PermissionError:
            self.denied.add(path)
        except OSError:
            pass
        return b""

    def _list(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self.root + path))
        except PermissionError:
            self.denied.add(path)
        except OSError:
            pass
        return []


def _engines(engine: str) -> tuple[str, ...]:
    """Return the engines whose files may know a container."""
    if engine in ("kubernetes", "oci"):
        return ("containerd", "docker", "cri-o", "podman")
    return (engine,) if engine in ("docker", "podman", "containerd", "cri-o") else ()


def _rootless_storage(uid: int | None) -> list[str]:
    tops = [f"{home}/.local/share/containers/storage" for home in _homes(uid)]
    return [*tops, f"/run/user/{uid}/containers"] if uid else tops


def _homes(uid: int | None) -> list[str]:
    """Return the home directory of a user other than root, if there is such a user."""
    if not uid:
        return []
    import pwd

    try:
        return [pwd.getpwuid(uid).pw_dir]
    except KeyError:
        return []
