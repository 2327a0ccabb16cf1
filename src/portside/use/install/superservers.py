"""inetd and xinetd: the server accepts, and starts the program with the connection as its standard input and output.

Reference: inetd(8) of FreeBSD and OpenBSD, xinetd.conf(5).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.use.install.plan import File, Line, Plan
from portside.use.install.wish import INETD, Wish

_XINETD = """\
# {title}
service {name}
{{
    type        = UNLISTED
    port        = {port}
    socket_type = {socket}
    protocol    = {protocol}
    wait        = {wait}
    user        = {user}
    server      = {program}
{arguments}    instances   = 100
    per_source  = 20
    disable     = no
{bind}}}
"""


def inetd(wish: Wish) -> Plan:
    """Return the line of /etc/inetd.conf: by number, so that /etc/services needs no entry."""
    _check(wish, "inetd")
    if any(" " in word or "\t" in word or word.startswith("#") or not word for word in wish.command):
        raise BadRequest(
            "install",
            wish.name,
            "inetd.conf has no quoting: a word with a blank cannot be written",
            "use a script",
        )
    host = f"[{wish.address}]" if ":" in wish.address else wish.address
    place = f"{host}:{wish.port}" if host else str(wish.port)
    socket, wait = _socket(wish)
    program = wish.command[0]
    words = (
        place,
        socket,
        wish.protocol,
        wait,
        _user(wish),
        program,
        program.rpartition("/")[2],
        *wish.command[1:],
    )
    reload = ("service", "inetd", "reload")
    return Plan(
        "inetd",
        wish.name,
        lines=(Line("/etc/inetd.conf", "\t".join(words)),),
        enable=(reload,),
        forget=(reload,),
    )


def xinetd(wish: Wish) -> Plan:
    """Return the file of a service under /etc/xinetd.d."""
    _check(wish, "xinetd")
    if any(" " in word or "\t" in word or not word for word in wish.command):
        raise BadRequest(
            "install",
            wish.name,
            "xinetd has no quoting: a word with a blank cannot be written",
            "use a script",
        )
    socket, wait = _socket(wish)
    arguments = " ".join(word.replace("%", "%%") for word in wish.command[1:])
    text = _XINETD.format(
        title=wish.title, name=wish.name, port=wish.port, socket=socket, protocol=wish.protocol,
        wait="yes" if wait == "wait" else "no", user=_user(wish), program=wish.command[0],
        arguments=f"    server_args = {arguments}\n" if arguments else "",
        bind=f"    bind        = {wish.address}\n" if wish.address else "    flags       = IPv6\n",
    )  # fmt: skip
    reload = ("service", "xinetd", "reload")
    return Plan(
        "xinetd", wish.name, (File(f"/etc/xinetd.d/{wish.name}", text),), enable=(reload,), forget=(reload,)
    )


def _check(wish: Wish, kind: str) -> None:
    if wish.how != INETD:
        raise BadRequest(
            "install", wish.name, f"{kind} starts a program for each connection, on its standard input and output",
            "add --inetd if the program works so",
        )  # fmt: skip
    if any(
        not word or word.startswith("#") or not word.isprintable() or " " in word for word in wish.command
    ):
        raise BadRequest(
            "install",
            wish.name,
            f"{kind} has no quoting: a word with a blank cannot be written",
            "use a script",
        )


def _socket(wish: Wish) -> tuple[str, str]:
    """Return the words for the socket and for who accepts: datagrams are read by the program itself."""
    return ("stream", "nowait") if wish.protocol == "tcp" else ("dgram", "wait")


def _user(wish: Wish) -> str:
    return wish.user or "nobody"
