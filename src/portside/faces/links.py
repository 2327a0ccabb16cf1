"""Links that start the faces: `DIR/ss -> portside`, made by `portside faces DIR` and taken away by it.

Our own link is a symbolic link whose target is called `portside`; whatever else has the name stays untouched.
"""

from __future__ import annotations

import errno
import os
import sys

from portside.errors import BadRequest, NotPermitted, NotSupported, PortsideError
from portside.faces import FACES
from portside.record import Record

# what is, or is to be, done with a link
MADE, REPLACED, THERE, REMOVED = "made", "replaced", "there", "removed"
KEPT, ABSENT = "kept", "absent"
_COMMAND = "portside"


class Link(Record):
    """One face's place in a directory: its path, what is done there, and where our link there pointed before."""

    face: str
    path: str
    action: str
    before: str = ""


def plan(directory: str, target: str, *, remove: bool = False) -> tuple[Link, ...]:
    """Return what to do for each face in `directory`, without doing it; raises BadRequest where it is none."""
    if not os.path.isdir(directory):
        what = "it is no directory" if os.path.lexists(directory) else "there is no such directory"
        raise BadRequest("link faces in", f"'{directory}'", what, f"make it first: mkdir -p '{directory}'")
    return tuple(_look(face, os.path.join(directory, face), target, remove) for face in FACES)


def _look(face: str, path: str, target: str, remove: bool) -> Link:
    before = _our_target(path)
    if before:
        return Link(face, path, REMOVED if remove else THERE if before == target else REPLACED, before)
    if os.path.lexists(path):
        return Link(face, path, KEPT)
    return Link(face, path, ABSENT if remove else MADE)


def _our_target(path: str) -> str:
    """Return where our own link points, empty where there is none of ours; it may dangle."""
    try:
        target = os.readlink(path)
    except OSError:
        return ""
    return target if os.path.basename(target) == _COMMAND else ""


def apply(link: Link, target: str) -> Link:
    """Do what was planned for one link and return it; what came in between is kept.  Raises PortsideError."""
    try:
        if link.action in (REPLACED, REMOVED) and _our_target(link.path):
            os.unlink(link.path)
        if link.action in (MADE, REPLACED):
            os.symlink(target, link.path)
    except FileExistsError:
        return link.replace(action=KEPT)
    except OSError as error:
        raise _from_os(error, link) from error
    return link


def _from_os(error: OSError, link: Link) -> PortsideError:
    verb = "remove" if link.action == REMOVED else "make"
    reason = os.strerror(error.errno or 0).lower()
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(verb, f"link '{link.path}'", reason, "run it with sudo", errno=error.errno)
    return NotSupported(verb, f"link '{link.path}'", reason, errno=error.errno)


def find_command() -> str:
    """Return the path of the running `portside` command, else of the one beside this Python or in PATH.

    Raises NotSupported where there is none: `python -m portside` alone cannot be linked to.
    """
    candidates = [sys.argv[0] if os.sep in sys.argv[0] else ""]
    candidates += [os.path.join(os.path.dirname(sys.executable), _COMMAND), in_path(_COMMAND)]
    for candidate in candidates:
        if candidate and os.path.basename(candidate) == _COMMAND and _executable(candidate):
            return os.path.abspath(candidate)
    raise NotSupported(
        "link",
        "faces",
        "there is no portside command to point at",
        "install it first: 'pip install .' in its source",
    )


def in_path(name: str) -> str:
    """Return the program that a shell would start by this name, empty where there is none."""
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        candidate = os.path.join(directory or os.curdir, name)
        if _executable(candidate):
            return candidate
    return ""


def starts_portside(path: str) -> bool:
    """Whether a program is, through links, the portside command."""
    return os.path.basename(os.path.realpath(path)) == _COMMAND


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
