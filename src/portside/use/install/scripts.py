"""Managers that run scripts: SysV init (with chkconfig's and LSB's headers), OpenRC, FreeBSD's rc.d.

They have no sockets to pass: the program binds its port itself.  Where a port below 1024 takes root there, and a user
was named who is not, the plan warns.

Reference: chkconfig(8), LSB 5.0 "Comment Conventions for Init Scripts", update-rc.d(8); openrc-run(8); rc.subr(8),
daemon(8), sysrc(8).
"""

from __future__ import annotations

from portside.errors import BadRequest
from portside.use.install.plan import File, Plan, sh_line, sh_word
from portside.use.install.wish import OWN, Wish

_SYSV = """\
#!/bin/sh
# chkconfig: 2345 95 05
# description: {title}
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    $network $local_fs $remote_fs
# Required-Stop:     $network $local_fs $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: {title}
### END INIT INFO

NAME={name}
DIRECTORY={directory}
RUN_AS={user}
PIDFILE=/var/run/$NAME.pid
LOG=/var/log/$NAME.log

# a process's number is given again, its number and its start are not
born() {{
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}}

running() {{
    [ -s "$PIDFILE" ] || return 1
    {{ read -r pid; read -r began; }} <"$PIDFILE"
    [ -n "$began" ] && [ "$(born "$pid")" = "$began" ]
}}

start() {{
    if running; then echo "$NAME runs already"; return 0; fi
    touch "$LOG" && chown "$RUN_AS" "$LOG" || return 1
    set -- {command}
    cd "$DIRECTORY" || return 1
    if [ "$RUN_AS" = root ]; then
        nohup "$@" </dev/null >>"$LOG" 2>&1 &
    elif command -v setpriv >/dev/null; then
        nohup setpriv --reuid="$RUN_AS" --regid="$(id -g "$RUN_AS")" --init-groups -- "$@" </dev/null >>"$LOG" 2>&1 &
    else
        nohup runuser -u "$RUN_AS" -- "$@" </dev/null >>"$LOG" 2>&1 &
    fi
    printf '%s\n' $! "$(born $!)" >"$PIDFILE"
    sleep 1
    if running; then echo "$NAME started"; return 0; fi
    echo "$NAME did not start: see $LOG" >&2
    return 1
}}

stop() {{
    if ! running; then rm -f "$PIDFILE"; echo "$NAME does not run"; return 0; fi
    kill "$pid"
    for second in 1 2 3 4 5 6 7 8 9 10; do
        running || break
        sleep 1
    done
    if running; then kill -9 "$pid"; fi
    rm -f "$PIDFILE"
    echo "$NAME stopped"
}}

case "$1" in
    start) start ;;
    stop) stop ;;
    restart|force-reload) stop; start ;;
    status) if running; then echo "$NAME runs"; else echo "$NAME does not run"; exit 3; fi ;;
    *) echo "usage: $0 start|stop|restart|force-reload|status" >&2; exit 2 ;;
esac
"""

_OPENRC = """\
#!/sbin/openrc-run
description={title}
supervisor=supervise-daemon
command={program}
command_args={arguments}
command_user={user}
directory={directory}
output_log=/var/log/{name}.log
error_log=/var/log/{name}.log
respawn_delay=1

depend() {{
    need net
    after firewall
}}

start_pre() {{
    checkpath --file --mode 0640 --owner {user} /var/log/{name}.log # which it opens as that user
}}
"""

_FREEBSD = """\
#!/bin/sh
#
# PROVIDE: {name}
# REQUIRE: NETWORKING SERVERS
# KEYWORD: shutdown
#
# {title}; to enable it: sysrc {name}_enable=YES

. /etc/rc.subr

name={name}
rcvar={name}_enable
load_rc_config $name
: ${{{name}_enable:=NO}}

{name}_chdir={directory}
pidfile=/var/run/${{name}}.pid
command=/usr/sbin/daemon
command_args="-P $pidfile -r -R 1 -u {user} -o /var/log/{name}.log -- {escaped}"

run_rc_command "$1"
"""


def sysv(wish: Wish, *, chkconfig: bool = False) -> Plan:
    """Return a SysV init script, switched on by chkconfig(8) or by update-rc.d(8)."""
    _check(wish)
    path = f"/etc/init.d/{wish.name}"
    text = _SYSV.format(
        title=wish.title, name=wish.name, command=sh_line(wish.command),
        directory=sh_word(wish.directory or "/"), user=sh_word(_user(wish)),
    )  # fmt: skip
    on = ("chkconfig", "--add", wish.name) if chkconfig else ("update-rc.d", wish.name, "defaults")
    off = ("chkconfig", "--del", wish.name) if chkconfig else ("update-rc.d", wish.name, "remove")
    # update-rc.d removes the links of a script that is gone, chkconfig wants it to be there
    before, after = ((off,), ()) if chkconfig else ((), (off,))
    return Plan(
        "sysv",
        wish.name,
        (File(path, text, 0o755),),
        checks=(("sh", "-n", path),),
        enable=(on, ("service", wish.name, "start")),
        disable=(("service", wish.name, "stop"), *before),
        forget=after,
        warnings=_warnings(wish),
    )


def openrc(wish: Wish) -> Plan:
    """Return an OpenRC service under supervise-daemon."""
    _check(wish)
    path = f"/etc/init.d/{wish.name}"
    text = _OPENRC.format(
        title=sh_word(wish.title), name=wish.name, program=sh_word(wish.command[0]), user=sh_word(_user(wish)),
        # openrc evaluates the arguments once more
        arguments=sh_word(sh_line(wish.command[1:])), directory=sh_word(wish.directory or "/"),
    )  # fmt: skip
    return Plan(
        "openrc",
        wish.name,
        (File(path, text, 0o755),),
        checks=(("sh", "-n", path),),
        enable=(("rc-update", "add", wish.name, "default"), ("rc-service", wish.name, "start")),
        disable=(("rc-service", wish.name, "stop"), ("rc-update", "del", wish.name, "default")),
        warnings=_warnings(wish),
    )


def freebsd(wish: Wish) -> Plan:
    """Return FreeBSD's rc.d script, which runs the program under daemon(8)."""
    _check(wish)
    name = wish.name.replace("-", "_")  # it begins names of variables
    path = f"/usr/local/etc/rc.d/{name}"
    line = sh_line(wish.command)
    escaped = "".join("\\" + character if character in '"$`\\' else character for character in line)
    text = _FREEBSD.format(
        title=wish.title,
        name=name,
        directory=sh_word(wish.directory or "/"),
        user=_user(wish),
        escaped=escaped,
    )
    return Plan(
        "freebsd",
        name,
        (File(path, text, 0o755),),
        checks=(("sh", "-n", path),),
        enable=(("sysrc", f"{name}_enable=YES"), ("service", name, "start")),
        disable=(("service", name, "stop"), ("sysrc", "-x", f"{name}_enable")),
        warnings=_warnings(wish),
    )


def _check(wish: Wish) -> None:
    if wish.how != OWN:
        raise BadRequest(
            "install", wish.name, "this service manager passes no sockets: the program must bind its port",
            "add --own (or --inetd with --for inetd or xinetd)",
        )  # fmt: skip


def _user(wish: Wish) -> str:
    return wish.user or ("root" if wish.privileged else "nobody")


def _warnings(wish: Wish) -> tuple[str, ...]:
    if not wish.privileged:
        return ()
    if _user(wish) == "root":
        return (f"the program runs as root, because only root may bind port {wish.port} here",)
    return (
        f"{wish.user} may not bind port {wish.port} unless the host is set so: see 'portside tune unprivileged'",
    )
