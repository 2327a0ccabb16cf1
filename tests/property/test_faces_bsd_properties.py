"""The BSD faces: whatever is typed, they end with a number and never with a traceback; no control bytes come out."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import fakemachine

import portside.faces.netstat.bsd.interfaces
from portside.faces import sockstat
from portside.faces.bsd import Refused, ends
from portside.faces.netstat.bsd import main as netstat_main
from portside.faces.sockstat.options import parse_ports
from portside.see.records import Endpoint, Socket

MANY = settings(max_examples=80, deadline=None)
LETTERS = "46AaBbCcdFfghIijLlMmNnOoPpQqRrSsTUuvWwxz"
words = st.lists(
    st.one_of(
        st.text(alphabet=LETTERS, min_size=1, max_size=4).map(lambda letters: f"-{letters}"),
        st.sampled_from(
            [
                "--",
                "-",
                "--libxo",
                "--libxo=json,pretty",
                "json",
                "tcp",
                "udp",
                "inet",
                "inet6",
                "unix",
                "22",
                "lo",
            ]
        ),
        st.sampled_from(["22-80", "1-70000", ",", "\x1b[2J", "\udcff", "", "--help", "99999999999999999999"]),
        st.text(max_size=6),
    ),
    max_size=5,
)


@pytest.fixture(scope="module", autouse=True)
def machine(tmp_path_factory):
    """The made-up machine, and no looking again and again."""
    with pytest.MonkeyPatch.context() as patch:
        fakemachine.install(patch, fakemachine.make(tmp_path_factory.mktemp("machine")))
        patch.setattr(portside.faces.netstat.bsd.interfaces, "traffic", lambda options, host: None)
        patch.setattr("portside.system.hostnames.host_name", lambda address: "")
        yield


@pytest.mark.parametrize("main", [sockstat.main, netstat_main], ids=["sockstat", "netstat --bsd"])
@given(typed=words)
@MANY
def test_any_words_end_with_a_code(main, typed):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(typed)
    assert code in (0, 1)
    assert bool(err.getvalue()) or code == 0
    told = out.getvalue() + err.getvalue()
    assert all(char.isprintable() or char in "\n\t" for char in told)


@given(st.text(alphabet="0123456789-, +x", max_size=12))
@MANY
def test_any_ports_are_ports_or_refused(text):
    try:
        ports = parse_ports(text)
    except Refused as error:
        said = str(error)
    else:
        said = "" if all(0 <= port <= 65535 for port in ports) else "out of range"
    assert said in ("", "syntax error in port range", "invalid port number")


addresses = st.one_of(
    st.ip_addresses(v=4).map(lambda one: ("inet", str(one))),
    st.ip_addresses(v=6).map(lambda one: ("inet6", str(one))),
)


@given(addresses, st.integers(0, 65535), st.sampled_from((None, True, False)))
@MANY
def test_ends_name_a_family_and_an_address(where, port, v6only):
    family, address = where
    socket = Socket(family, "stream", "tcp", "listen", Endpoint(address, port, "", "", v6only), Endpoint(""))
    told = ends(socket)
    assert told.versions in ("4", "6", "46")
    assert (told.local == "*") == (address in ("0.0.0.0", "::", "::ffff:0.0.0.0"))
    assert told.remote == "*"
