"""The shipped registry, and what the host's own /etc/services changes about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portside.errors import BadReply, BadRequest
from portside.ports import iana
from portside.ports.lookup import Service
from portside.ports.registry import Registry

MODULES_TO_NAME_PORTS = ("registry", "iana", "etc_services", "transport")

HOST = """\
# comment
http            80/tcp          www    # WorldWideWeb HTTP
webcache        8080/tcp               # WWW caching service
ours            7777/tcp        Xalias alias2
ours            7777/udp
imap2           143/tcp         imap
second          7777/tcp
rtmp            1/ddp
"""


@pytest.fixture(scope="module")
def table():
    return iana.shipped_table()


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(scope="module")
def host():
    return Registry(HOST)


def services(table):
    """Yield every record of the shipped registry."""
    for row in range(table.rows):
        for transport in table.transports(row):
            yield table.name(row), *table.ports(row), transport, table.description(row), table.reference(row)
    for name, first, last, transports, description, reference in table.others():
        for transport in transports:
            yield name, first, last, transport, description, reference


def test_the_file_says_what_it_is(table):
    with open(iana.__file__.replace("iana.py", "registry.bin"), "rb") as file:
        start = file.read(300).decode()
    for words in ("IANA", "2025-03", "CC0 1.0", "records: 14474"):
        assert words in start


def test_every_record_is_there(table):
    records = list(services(table))
    assert len(records) == int(table.header["records"]) == 14474
    assert len(set(records)) == 14474
    assert len({name for name, *_ in records if name}) == 7294
    assert sum(first is None for _, first, *_ in records) == 1048
    assert sum(name == "" for name, *_ in records) == 1703
    assert sum(first is not None and first < last for _, first, last, *_ in records) == 752


KNOWN = [
    ("ssh", 22, 22, "tcp", "The Secure Shell (SSH) Protocol", "[RFC4251]"),
    ("http", 80, 80, "tcp", "World Wide Web HTTP", "[RFC9110]"),
    ("https", 443, 443, "udp", "http protocol over TLS/SSL", "[RFC9110]"),
    ("x11", 6000, 6063, "udp", "X Window System", ""),
    ("discard", 9, 9, "dccp", "Discard", "[RFC4340]"),
    ("argus", None, None, "", "ARGUS Protocol", ""),
    ("7ksonar", None, None, "udp", "Teledyne Marine 7k Sonar Protocol", ""),
    ("", 0, 0, "tcp", "Reserved", "[RFC6335]"),
    ("", 4, 4, "udp", "Unassigned", ""),
    ("", 225, 241, "", "Reserved", "[RFC1060]"),
    ("", 49151, 49151, "", "Reserved", "[RFC6335]"),
]


@pytest.mark.parametrize("record", KNOWN, ids=str)
def test_known_records(table, record):
    assert record in set(services(table))


def test_rows_are_found_by_every_road(table):
    for row in range(0, table.rows, 37):
        first, last = table.ports(row)
        assert row in table.rows_of_port(first)
        assert row in table.rows_of_port(last)
        assert row in table.rows_of_name(table.name(row).upper())
        assert row in table.rows_of_range(first, last)
    assert table.names()[-1] == table.name(table.rows - 1)


def test_no_row(table):
    for port in (0, 4, 49151, 49152, 65535):
        assert table.rows_of_port(port) == []
    for name in ("", "no such service", "ssh\nhttp", "\n", "ss"):
        assert table.rows_of_name(name) == []


def test_damaged_file_is_our_error():
    for data in (b"", b"Portside service registry, format 99\nrecords: 1\n\n", b"\0" * 100):
        with pytest.raises(BadReply, match="not of the expected format"):
            iana.Table(data)


def test_name_of(registry):
    names = {
        22: "ssh",
        80: "http",
        443: "https",
        53: "domain",
        6010: "x11",
        4: "",
        0: "",
        51820: "",
        65535: "",
    }
    assert {port: registry.name_of(port, "tcp") for port in names} == names
    assert registry.name_of(514, "udp") == "syslog"
    assert registry.name_of(514, "tcp") == "shell"
    assert registry.name_of(514) == "shell"
    assert registry.name_of(5353) == "mdns"
    for port in (-1, 65536, 10**9):
        assert registry.name_of(port) == ""


def test_transports_that_share_ports(registry):
    assert registry.name_of(53, "udplite") == "domain"
    assert registry.name_of(443, "mptcp") == "https"
    assert registry.name_of(443, "raw") == ""


def test_all_names_are_kept_in_order(registry):
    assert registry.names_of(80, "tcp") == ("http", "www", "www-http")
    assert registry.names_of(465, "tcp") == ("urd", "submissions")
    assert registry.names_of(465, "udp") == ("igmpv3lite",)


def test_ports_of(registry):
    assert registry.ports_of("https") == registry.ports_of("HTTPS", "tcp") == (443,)
    assert registry.ports_of("http-alt", "udp") == (591, 8008, 8080)
    assert registry.ports_of("x11", "tcp") == tuple(range(6000, 6064))
    assert registry.ports_of("syslog", "tcp") == registry.ports_of("argus") == registry.ports_of("") == ()


def test_the_hosts_own_name_wins(host):
    assert host.name_of(143, "tcp") == "imap2"
    assert host.names_of(143, "tcp") == ("imap2", "imap")
    assert host.names_of(7777, "tcp") == ("ours", "Xalias", "alias2", "second", "cbt")
    assert host.names_of(8080, "tcp") == ("webcache", "http-alt")
    assert host.name_of(143, "udp") == ""
    assert host.name_of(7777) == "ours"
    assert host.ports_of("xALIAS", "tcp") == (7777,)
    assert host.ports_of("xALIAS", "udp") == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "#",
        "lonely",
        "a b",
        "a 1",
        "a /tcp",
        "a 1/",
        "a -1/tcp",
        "a 65536/tcp",
        "a x/tcp",
        "a ٣/tcp",
        "\0 \0/\0",
        "\udcff 1\udcff/tcp",
    ],
)
def test_malformed_lines_are_left_out(line):
    registry = Registry(f"{line}\nours 7777/tcp\r\n")
    assert registry.name_of(7777, "tcp") == "ours"
    assert registry.find("ours") == [Service("ours", 7777, 7777, "tcp", source="host")]
    assert registry.find("a") == []


def test_find_by_name(host):
    assert host.find("WWW")[0] == Service(
        "www", 80, 80, "tcp", "World Wide Web HTTP", "[RFC9110]", "iana+host"
    )
    assert [(each.transport, each.source) for each in host.find("www")] == [
        ("tcp", "iana+host"),
        ("udp", "iana"),
    ]
    assert host.find("alias2") == [Service("alias2", 7777, 7777, "tcp", source="host")]
    assert host.find("argus") == [Service("argus", None, None, "", "ARGUS Protocol")]
    assert [each.transport for each in host.find("domain/udp")] == ["udp"]
    assert host.find("cl/1/tcp")[0].first == 172


def test_find_by_number(host):
    found = [(each.name, each.source) for each in host.find("8080/tcp")]
    assert found == [("webcache", "host"), ("http-alt", "iana")]
    assert {each.name for each in host.find("6001")} == {"x11"}
    assert [each.description for each in host.find("4")] == ["Unassigned", "Unassigned"]
    assert [each.first for each in host.find("230")] == [225]
    assert host.find("51820") == []
    for query in ("65536", "5-4"):
        with pytest.raises(BadRequest):
            host.find(query)


def test_find_a_range(host):
    found = host.find("7770-7780/tcp")
    assert [each.first for each in found] == sorted(each.first for each in found)
    assert {each.name for each in found if each.first == 7777} == {
        "ours",
        "Xalias",
        "alias2",
        "second",
        "cbt",
    }
    assert {each.transport for each in found} <= {"tcp", ""}


def test_find_by_pattern(host):
    assert {each.name for each in host.find("SSH*")} >= {"ssh", "sshell", "ssh-mgmt"}
    assert {each.name for each in host.find("our?")} == {"ours"}
    assert {each.name for each in host.find("sql*net")} == {"sql*net"}  # a name that looks like a pattern
    for pattern in ("[", "[z-a]", "*" * 40 + "q" * 40, "[!]*"):
        assert host.find(pattern) == []


def test_find_by_description(host):
    assert {each.name for each in host.find("secure shell")} == {"ssh"}
    assert [each.name for each in host.find("WWW caching")] == ["webcache"]
    assert host.find("no such thing anywhere") == host.find("  ") == []


def test_source_of_a_host_record_iana_describes_otherwise(host):
    assert host.find("worldwideweb") == [
        Service("http", 80, 80, "tcp", "WorldWideWeb HTTP", "", "iana+host"),
        Service("www", 80, 80, "tcp", "WorldWideWeb HTTP", "", "iana+host"),
    ]


def test_near(host):
    assert host.near("htps")[0] == "https"
    assert host.near("smpt")[0] == "smtp"
    assert "postgresql" in host.near("postgres")
    assert host.near("webcahce")[0] == "webcache"
    assert host.near("zzzzzzzzzzzz") == host.near("") == ()


def test_naming_ports_loads_little():
    """Every listing names ports: what only queries need stays out (see the module's docstring)."""
    script = (
        "import sys; bare = set(sys.modules)\n"
        "from portside.ports.registry import Registry\n"
        "assert Registry('ours 7777/tcp').name_of(443, 'tcp') == 'https'\n"
        "print(*sorted(set(sys.modules) - bare))"
    )
    source = str(Path(iana.__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": source},
        check=True,
    )
    ours = {
        f"portside.{name}" for name in ("errors", "ports", *map("ports.{}".format, MODULES_TO_NAME_PORTS))
    }
    assert set(done.stdout.split()) - {"__future__", "zlib"} == {"portside", *ours}
