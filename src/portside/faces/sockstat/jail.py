"""sockstat -j on Linux: a network namespace (name, or inode number) or a container (name, or id from its start).

As with FreeBSD's jails there are two kinds.  One with a network of its own shows all of its sockets, also those that
nobody is seen to hold; a container on the host's network shows what its processes hold.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.see.records import Container, Socket
    from portside.see.snapshot import Snapshot
    from portside.system.netns import NetworkNamespace

_SHORTEST_ID = 4


def sockets_in(snapshot: Snapshot, jail: str) -> list[Socket] | None:
    """Return the sockets of a jail with the holders that are in it, None where there is no such jail."""
    spaces = [part.namespace for part in snapshot.parts]
    networks = {str(space) for space in spaces if _is(space, jail)}
    found = []
    inside = False
    for socket in snapshot:
        if socket.netns in networks:
            found.append(socket)
            continue
        owners = tuple(owner for owner in socket.owners if _runs(owner.process.container, jail))
        if owners:
            inside = True
            found.append(socket.replace(owners=owners))
    return found if inside or networks else None


def _is(space: NetworkNamespace, jail: str) -> bool:
    """Whether a network namespace is meant: by its own name, its container's (`engine:name`), or its inode."""
    return (bool(space.name) and jail in (space.name, space.name.partition(":")[2])) or jail == str(
        space.inode
    )


def _runs(container: Container | None, jail: str) -> bool:
    if container is None:
        return False
    by_id = len(jail) >= _SHORTEST_ID and container.id.startswith(jail)
    return by_id or jail in (container.name, f"{container.engine}:{container}")
