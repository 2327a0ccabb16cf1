#!/bin/sh
# Set up .venv beside this checkout.  Safe to repeat; asks nothing.
#
#   tools/setup.sh run    what running needs: a virtual environment that sees src/, and .venv/bin/portside.
#                         No network: the core needs the standard library alone.
#   tools/setup.sh dev    and what testing needs: the Debian packages of the commands that the live tests compare
#                         with, and the `dev` dependency group of pyproject.toml.
#   tools/setup.sh bench  and the Debian packages of the programs that the benchmarks alone compare with.
#
# As root on Debian or Ubuntu what is missing is installed; else the line that would install it is printed.
# PYTHON=/path/to/python3 chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
# Commands that the live tests call, and the Debian package that has each: one on a line.
LIVE_COMMANDS='
ip:iproute2
ss:iproute2
netstat:net-tools
lsof:lsof
tmux:tmux
nft:nftables
iptables:iptables
ipset:ipset
nmap:nmap
sysctl:procps
nsenter:util-linux
ufw:ufw
firewalld:firewalld
dbus-daemon:dbus
systemd-analyze:systemd
systemd-socket-activate:systemd
xmllint:libxml2-utils
nc.openbsd:netcat-openbsd
nc.traditional:netcat-traditional
busybox:busybox
ncat:ncat
socat:socat
curl:curl
haproxy:haproxy
danted:dante-server
microsocks:microsocks
dropbear:dropbear-bin
memcached:memcached
redis-server:redis-server
inetd:openbsd-inetd
openssl:openssl
ssh:openssh-client
'
# The same for programs that the benchmarks alone call.
BENCH_COMMANDS='
masscan:masscan
zmap:zmap
nmap:nmap
'

say() { printf 'setup: %s\n' "$*" >&2; }

fail() { say "$@"; exit 1; }

# apt_install PACKAGE...: quietly when root; else fails with the exact line to type.
apt_install() {
    line="apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null || { say "install what is missing: $* (Debian's names)"; return 1; }
    [ "$(id -u)" = 0 ] || { say "install what is missing: sudo $line"; return 1; }
    say "installing Debian packages: $*"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get -q update && $line; } </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        say "install Debian packages: '$line' failed"
        return 1
    fi
    rm -f "$log"
}

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Print the first interpreter that is new enough.
find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

need_python() {
    command -v python3 >/dev/null || [ -n "${PYTHON:-}" ] || apt_install python3 || exit 1
    find_python && return
    found=$("${PYTHON:-python3}" --version 2>/dev/null) || found="no '${PYTHON:-python3}'"
    fail "find Python: needs 3.11 or later, found $found; install one and run: make run PYTHON=/path/to/python3.11"
}

make_venv() {
    suits $VENV/bin/python && return
    python=$(need_python)
    say "making $VENV with $("$python" --version)"
    "$python" -c 'import venv' 2>/dev/null || apt_install python3-venv || exit 1
    rm -rf $VENV
    "$python" -m venv --without-pip $VENV
}

# The package by a .pth file (one line, relative: the tree may move), the command by the three lines pip would write.
link_portside() {
    site=$($VENV/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo ../../../../src >"$site/portside.pth"
    cat >$VENV/bin/portside <<LAUNCHER
#!/bin/sh
'''exec' "\$(dirname "\$0")/python" "\$0" "\$@"
' '''
from portside.cli import entry
entry()
LAUNCHER
    case "$PWD" in
    *[!A-Za-z0-9_./+-]*) ;; # a path that does not fit a #! line: the shell finds the interpreter
    *) { echo "#!$PWD/$VENV/bin/python"; sed 1,3d $VENV/bin/portside; } >$VENV/bin/portside.new
       mv $VENV/bin/portside.new $VENV/bin/portside ;;
    esac
    chmod 755 $VENV/bin/portside
}

# missing_packages COMMAND:PACKAGE...: the packages of the commands that are not there.
missing_packages() {
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
    done | sort -u
}

# shellcheck disable=SC2086  # one word, one package
install_commands() {
    packages=$(missing_packages $1)
    [ -z "$packages" ] || apt_install $packages || say "going on: $2"
}

install_dev() {
    install_commands "$LIVE_COMMANDS" "live tests that need them will be skipped"
    if ! $VENV/bin/python -m pip --version >/dev/null 2>&1; then
        $VENV/bin/python -c 'import ensurepip' 2>/dev/null || apt_install python3-venv || exit 1
        $VENV/bin/python -m ensurepip >/dev/null
    fi
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
    $VENV/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
    $VENV/bin/python -m pip install --quiet --group dev
    # Python 3.11's ensurepip brings setuptools, whose .pth file runs code at each start of the interpreter.
    $VENV/bin/python -m pip uninstall --quiet --yes setuptools 2>/dev/null
}

install_bench() {
    install_commands "$BENCH_COMMANDS" "benchmarks leave out the peers that are missing"
    $VENV/bin/python -m pip install --quiet --group bench || say "going on: benchmarks leave out uvloop"
}

case "${1:-}" in run | dev | bench) ;; *) fail "usage: tools/setup.sh run|dev|bench" ;; esac
make_venv
link_portside
[ "$1" = run ] || install_dev
[ "$1" != bench ] || install_bench
touch "$VENV/.$1"
