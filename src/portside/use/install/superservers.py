"""inetd and xinetd: the server accepts, and starts the program with the connection as its standard input and output.

Reference: inetd(8) of FreeBSD and OpenBSD, xinetd.conf(5).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.use.install.plan import File, Line, Plan
from portside.use.install.wish import INETD, Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.install.plan import Command

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


def inetd(
    wish: Wish, service: str = "inetd", begin: tuple[Command, ...] = (), *, freebsd: bool = False
) -> Plan:
    """Return the line of /etc/inetd.conf: by number, so that /etc/services needs no entry.

    `service` is what the host calls inetd; `begin` are the commands that start it, where it does not run.  FreeBSD's
    knows neither numbers nor addresses: the service gets a name there, and tcp46 is both families.
    """
    _check(wish, "inetd")
    host = f"[{wish.address}]" if ":" in wish.address else wish.address
    place = f"{host}:{wish.port}" if host else str(wish.port)
    protocol, names = wish.protocol, list[Line]()
    if freebsd:
        if host:
            raise BadRequest(
                "install", wish.name, "FreeBSD's inetd listens on every address", "leave --address out"
            )
        place, protocol = wish.name, f"{wish.protocol}46"
        names = [Line("/etc/services", f"{wish.name}\t{wish.port}/{wish.protocol}")]
    socket, wait = _socket(wish)
    program = wish.command[0]
    words = place, socket, protocol, wait, _user(wish), program, program.rpartition("/")[2], *wish.command[1:]
    reload = ("service", service, "reload")
    return Plan(
        "inetd",
        wish.name,
        lines=(*names, Line("/etc/inetd.conf", "\t".join(words))),
        enable=begin or (reload,),
        forget=(reload,),
    )


def xinetd(wish: Wish, service: str = "xinetd", begin: tuple[Command, ...] = ()) -> Plan:
    """Return the file of a service under /etc/xinetd.d; `service` and `begin` as for `inetd`."""
    _check(wish, "xinetd")
    socket, wait = _socket(wish)
    arguments = " ".join(word.replace("%", "%%") for word in wish.command[1:])
    text = _XINETD.format(
        title=wish.title, name=wish.name, port=wish.port, socket=socket, protocol=wish.protocol,
        wait="yes" if wait == "wait" else "no", user=_user(wish), program=wish.command[0],
        arguments=f"    server_args = {arguments}\n" if arguments else "",
        bind=f"    bind        = {wish.address}\n" if wish.address else "    flags       = IPv6\n",
    )  # fmt: skip
    file = File(f"/etc/xinetd.d/{wish.name}", text)
    reload = ("service", service, "reload")
    return Plan("xinetd", wish.name, (file,), enable=begin or (reload,), forget=(reload,))


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
