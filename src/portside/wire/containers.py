"""The container engines' own files, and the command lines of their helpers: bytes and argv in, names out.

Rule: no I/O.  The files are other programs' state, of many versions: whatever is not as expected gives an empty
answer, never an error.  A Kubernetes container is named `namespace/pod/container`.

References: Docker `config.v2.json` (daemon/container), `docker-proxy` (cmd/docker-proxy); containers/storage
`containers.json`; the OCI runtime specification's `config.json`, with the annotations of containerd's CRI plugin
(pkg/cri/annotations) and of CRI-O (pkg/annotations); conmon(8).
"""

from __future__ import annotations

from portside.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PROXIES = ("docker-proxy", "rootlesskit-docker-proxy")

# Annotations or labels that name a container outside Kubernetes, the first that is present.
_PLAIN_NAMES = ("nerdctl/name", "io.podman.annotations.name", "io.container.manager.name")
_KUBERNETES = (  # namespace, pod, container: kubelet's labels (CRI-O keeps them), then containerd's
    ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.container.name"),
    (
        "io.kubernetes.cri.sandbox-namespace",
        "io.kubernetes.cri.sandbox-name",
        "io.kubernetes.cri.container-name",
    ),
)


class DockerContainer(Record):
    """What Docker's `config.v2.json` says of a container.

    `addresses` are those on its networks while it runs; `published` its ports as (protocol, host address, host port).
    """

    id: str
    name: str
    running: bool
    addresses: tuple[str, ...] = ()
    published: tuple[tuple[str, str, int], ...] = ()


class ProxyTarget(Record):
    """What a docker-proxy process forwards: the port it holds on the host and the container's behind it."""

    protocol: str
    host_address: str
    host_port: int
    address: str
    port: int


def parse_docker(data: bytes) -> DockerContainer | None:
    """Read `config.v2.json`; `None` if it is not one."""
    config = _mapping(_json(data))
    if not isinstance(config.get("ID"), str):
        return None
    network = _mapping(config.get("NetworkSettings"))
    ends = [network, *(_mapping(end) for end in _mapping(network.get("Networks")).values())]
    addresses = [end.get(key) for end in ends for key in ("IPAddress", "GlobalIPv6Address")]
    name = config.get("Name")
    return DockerContainer(
        id=config["ID"],
        name=name.removeprefix("/") if isinstance(name, str) else "",
        running=_mapping(config.get("State")).get("Running") is True,
        addresses=tuple(dict.fromkeys(one for one in addresses if isinstance(one, str) and one)),
        published=tuple(_published(_mapping(network.get("Ports")))),
    )


def parse_storage(data: bytes) -> dict[str, str]:
    """Read the `containers.json` of containers/storage (Podman, CRI-O): id -> name.

    CRI-O's names there are `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`.
    """
    entries = _json(data)
    names = {}
    for entry in entries if isinstance(entries, list) else ():
        entry = _mapping(entry)
        known = entry.get("names")
        if (
            isinstance(entry.get("id"), str)
            and isinstance(known, list)
            and known
            and isinstance(known[0], str)
        ):
            names[entry["id"]] = _storage_name(known[0])
    return names


def parse_bundle(data: bytes) -> str:
    """Read an OCI `config.json`; return the container's name from its annotations, else empty."""
    config = _mapping(_json(data))
    notes = _mapping(config.get("annotations"))
    for keys in _KUBERNETES:
        parts = [notes.get(key) for key in keys]
        if parts[1]:
            return "/".join(part for part in parts if isinstance(part, str) and part)
    return next((notes[key] for key in _PLAIN_NAMES if isinstance(notes.get(key), str)), "")


def parse_data_root(data: bytes) -> str:
    """Read Docker's `daemon.json`; return its `data-root`, else empty."""
    root = _mapping(_json(data)).get("data-root")
    return root if isinstance(root, str) else ""


def proxy_target(argv: Sequence[str]) -> ProxyTarget | None:
    """Read the command line of a docker-proxy: `-container-ip A -container-port N`, also as `-flag=value`."""
    if not argv or argv[0].rpartition("/")[2] not in PROXIES:
        return None
    flags = _flags(argv[1:])
    try:
        return ProxyTarget(
            protocol=flags.get("proto", "tcp"),
            host_address=flags.get("host-ip", ""),
            host_port=int(flags.get("host-port", "0")),
            address=flags["container-ip"],
            port=int(flags.get("container-port", "0")),
        )
    except (KeyError, ValueError):
        return None


def monitored_container(argv: Sequence[str]) -> str:
    """Return the id of the container that a conmon process looks after (`-c ID`, `--cid ID`), else empty."""
    if not argv or argv[0].rpartition("/")[2] != "conmon":
        return ""
    flags = _flags(argv[1:])
    return flags.get("cid") or flags.get("c", "")


def _flags(arguments: Sequence[str]) -> dict[str, str]:
    """Collect `-name value` and `-name=value`; the first of each name counts."""
    flags: dict[str, str] = {}
    for index, argument in enumerate(arguments):
        if not argument.startswith("-"):
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        flags.setdefault(name, value if equals else following)
    return flags


def _published(ports: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Flatten Docker's `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`."""
    found = []
    for inside, bindings in ports.items():
        for binding in bindings if isinstance(bindings, list) else ():
            binding = _mapping(binding)
            port = binding.get("HostPort")
            if isinstance(port, str) and port.isascii() and port.isdigit() and len(port) < 6:
                found.append((inside.rpartition("/")[2], str(binding.get("HostIp") or ""), int(port)))
    return found


def _storage_name(name: str) -> str:
    parts = name.split("_")
    if parts[0] != "k8s" or len(parts) != 6:
        return name
    _, container, pod, namespace, _, _ = parts
    return f"{namespace}/{pod}" if container == "POD" else f"{namespace}/{pod}/{container}"


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(data: bytes) -> object:
    import json

    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
