"""The netstat face: whatever is typed, and whatever /proc/net holds, it is drawn or refused, never a traceback."""

from __future__ import annotations

import contextlib
import io
import string

from hypothesis import given
from hypothesis import strategies as st

from portside.errors import PortsideError
from portside.faces.netstat import groups, main, routes, sctp, sockets, statistics, unixes
from portside.faces.netstat.names import Names
from portside.faces.netstat.options import Ended, Options, parse

EVERYTHING = frozenset(("tcp", "udp", "raw", "sctp", "udplite", "inet", "inet6", "igmp", "unix"))
OPTIONS = Options(
    tables=EVERYTHING, every=True, extend=1, timers=True,
    numeric_hosts=True, numeric_ports=True, numeric_users=True, cache=True, fib=True,
)  # fmt: skip
WORD = st.one_of(
    st.text(alphabet=string.printable, max_size=12),
    st.text(alphabet="46aCdeFghilnNoprsStuUvVwWxZ2fAM?", min_size=1, max_size=5).map("-{}".format),
    st.sampled_from(["--inet", "--inet6", "-A", "inet,unix", "--numeric", "--unix", "--tcpip", "--"]),
)
TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(
        ["0:", "0100007F:1F90", "00000000:0000", "01", "07", "0A", "00000000:00000000", "00:00000000", "1000", "\n",
         "\t", "ffff8881", "<->", "10.0.0.1", "2001:db8::1", "lo", "Tcp:", "Ip6InReceives", "-1", "0" * 32, "x", "{}",
         "Iface", "Destination", "Gateway", "Flags", "Mask", "010000E0"]
    ), max_size=60).map(" ".join),
)  # fmt: skip


@given(st.lists(WORD, max_size=4))
def test_any_words_are_read_or_refused(words):
    code, said, what = 0, "", "sockets"
    try:
        what = parse(words).what
    except Ended as end:
        code, said = end.code, end.err
    assert code in (0, 1, 3)
    assert "\x1b" not in said
    assert what in ("sockets", "routes", "interfaces", "statistics", "masquerade")


class Made:
    """A host whose /proc/net holds one text in every file."""

    live = False

    def __init__(self, text):
        self.text = text

    def net(self, name):
        return self.text

    def net_exists(self, name):
        return True

    def net_path(self, name):
        return name


@given(TEXT)
def test_any_text_is_drawn_or_an_error_of_ours(text):
    host = Made(text)
    names = Names(OPTIONS, host)
    parts = (
        lambda: [
            line
            for name in ("tcp", "udp", "raw", "udplite")
            for line in sockets.inet(name, OPTIONS, names, host)
        ],
        lambda: sctp.lines(OPTIONS, names, host),
        lambda: unixes.lines(text, OPTIONS),
        lambda: groups.lines(OPTIONS, names, host),
        lambda: routes.tables(OPTIONS.replace(families=("inet", "inet6")), names, host),
        lambda: statistics.lines(OPTIONS, host),
        lambda: statistics.lines(OPTIONS.replace(families=("inet6",)), host),
    )
    for part in parts:
        try:
            drawn = list(part())
        except (PortsideError, Ended):
            continue
        for line in drawn:
            whole = line if isinstance(line, str) else f"{line[0]}{line[2]}"
            assert all(one.isprintable() or one == "\n" for one in whole)


def test_an_unknown_option_shows_the_usage():
    with contextlib.redirect_stderr(io.StringIO()) as err:
        assert main(["-q"]) == 3
    assert err.getvalue().startswith("netstat: invalid option -- 'q'\nusage: netstat ")
