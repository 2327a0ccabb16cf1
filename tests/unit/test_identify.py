"""What services say, as recorded from them or written in their protocol's documents, and who they are known as."""

from __future__ import annotations

import base64
import struct

import pytest

from portside.probe.identify import (
    databases,
    datagrams,
    greetings,
    messaging,
    names,
    remote,
    web,
)
from portside.probe.identify.asking import QUESTIONS
from portside.probe.identify.certificate import read_certificate
from portside.probe.payloads import by_port
from portside.probe.payloads import recognise as recognise_datagram
from portside.wire import asn1

MYSQL = bytes.fromhex("4a0000000a382e302e33350008000000") + b"abcdefgh\0" + bytes(40)
MARIA = bytes.fromhex("5b0000000a") + b"5.5.5-10.11.6-MariaDB-0+deb12u1\0" + bytes(50)
POSTGRES = b"E\0\0\0\x60SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for host\0Fauth.c\0L490\0Rx\0\0"
AMQP = (
    bytes.fromhex("01000000000100000a000a0009000000ff")
    + b"\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.12.1"
)
MONGO = (
    struct.pack("<4I", 90, 1, 0x5053, 2013)
    + bytes(5)
    + b"\x10maxWireVersion\0"
    + struct.pack("<I", 21)
    + bytes(9)
)
TDS = (
    bytes.fromhex("0401002500000100")
    + bytes.fromhex("000015000601001b0001ff")
    + bytes(10)
    + bytes.fromhex("1000103a0000")
    + b"\2"
)
SMB = b"\0\0\0\xfc\xfeSMB" + bytes(60) + struct.pack("<HHH", 65, 3, 0x0311) + bytes(60)
RDP = bytes.fromhex("030000130ed000001234000209080002000000")
X11 = bytes.fromhex("00160b0000000600") + b"No protocol specified\n\0\0"
NTP = bytes.fromhex("24020ae7") + bytes(8) + bytes([10, 0, 0, 1]) + bytes(32)
SNMP = (
    bytes.fromhex("302902010104067075626c6963a21c020101020100020100301130 0f06082b06010201010100")
    + b"\4\3box"
)
DNS = b"PS\x84\0\0\1\0\1\0\0\0\0\x07version\x04bind\0\0\x10\0\3\xc0\x0c\0\x10\0\3\0\0\0\0\0\x08\x079.18.24"

TCP = [
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "ssh",
     {"protocol": "2.0", "product": "OpenSSH_9.2p1 Debian-2+deb12u3"}),
    (b"220 mail.example ESMTP Postfix (Debian/GNU)\r\n", "smtp",
     {"product": "mail.example ESMTP Postfix (Debian/GNU)"}),
    (b"220 (vsFTPd 3.0.3)\r\n", "ftp", {"product": "(vsFTPd 3.0.3)"}),
    (b"200 news.example InterNetNews NNRP server INN 2.7.1 ready (posting ok)\r\n", "nntp", None),
    (b"+OK Dovecot (Debian) ready.\r\n", "pop3", {"product": "Dovecot (Debian) ready."}),
    (b"* OK [CAPABILITY IMAP4rev1 ID] Dovecot ready.\r\n", "imap", {"product": "Dovecot ready."}),
    (b"\xff\xfd\x18\xff\xfd\x20login: ", "telnet", None),
    (b"@RSYNCD: 31.0 sha512 sha256\n", "rsync", {"protocol": "31.0"}),
    (b"RFB 003.008\n", "rfb", {"protocol": "003.008"}),
    (MYSQL, "mysql", {"version": "8.0.35", "product": "MySQL"}),
    (MARIA, "mysql", {"version": "5.5.5-10.11.6-MariaDB-0+deb12u1", "product": "MariaDB"}),
    (b":irc.example NOTICE * :*** Looking up your hostname...\r\n", "irc", None),
    (b'INFO {"server_id":"x","version":"2.10.4"}\r\n', "nats", {"version": "2.10.4"}),
    (b"220 ready\r\n250 fine\r\n", "smtp", {"product": "ready"}),
    (b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n<html><TITLE>\n A  page </TITLE>", "http",
     {"status": "200 OK", "server": "nginx", "title": "A page"}),
    (b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"cluster_name":"a","lucene_version":"9"}', "http",
     {"status": "200 OK", "product": "Elasticsearch"}),
    (b"\x16\3\3\0\x7a\2\0\0\x76\3\3", "tls", None),
    (b"\x15\3\1\0\2\2\x28", "tls", None),
    (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: Gst\r\n\r\n", "rtsp", {"server": "Gst"}),
    (b"$40\r\n# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:0\r\n", "redis", {"version": "7.0.15"}),
    (b"-NOAUTH Authentication required.\r\n", "redis", {"answer": "NOAUTH Authentication required."}),
    (POSTGRES, "postgresql", {"answer": "no pg_hba.conf entry for host"}),
    (b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0", "postgresql", {"answer": "asks for a password"}),
    (MONGO, "mongodb", {"wire": "21"}),
    (b"VERSION 1.6.18\r\n", "memcached", {"version": "1.6.18"}),
    (TDS, "ms-sql-s", None),
    (b"\x84\0\0\0\6\0\0\0\x10\0\1", "cassandra", None),
    (b"Zookeeper version: 3.8.0--1, built on 2022\nLatency\n", "zookeeper", {"version": "3.8.0--1"}),
    (AMQP, "amqp", {"product": "RabbitMQ", "version": "3.12.1"}),
    (b"AMQP\0\0\x09\1", "amqp", {"protocol": "0.9.1"}),
    (b"\x20\2\0\0", "mqtt", {"answer": "accepted"}),
    (struct.pack("!I4sHI", 100, b"PSID", 0, 60) + bytes(90), "kafka", {"calls": "60"}),
    (b"ERROR\nserver:ActiveMQ\n\n\0", "stomp", {"server": "ActiveMQ"}),
    (b"\5\0", "socks5", {"authentication": "no authentication"}),
    (b"\0\x5b\0\0\0\0\0\0", "socks4", None),
    (b"<?xml version='1.0'?><stream:stream id='1'>", "xmpp", None),
    (SMB, "microsoft-ds", {"dialect": "3.1.1", "signing": "required"}),
    (b"\x83\0\0\1\x82", "netbios-ssn", None),
    (RDP, "ms-wbt-server", {"security": "CredSSP"}),
    (X11, "x11", {"answer": "No protocol specified"}),
    (b"\x80\0\0\x18PSID\0\0\0\1" + bytes(12), "sunrpc", None),
    (b"\5\0\x0c\3\x10\0\0\0" + bytes(52), "epmap", None),
    (b"SIP/2.0 200 OK\r\nServer: Kamailio\r\n\r\n", "sip", {"server": "Kamailio"}),
    (len(DNS).to_bytes(2, "big") + DNS, "domain", {"version": "9.18.24"}),
]  # fmt: skip
UDP = [
    (53, DNS, "domain", {"version": "9.18.24"}),
    (53, b"PS\x81\5\0\1\0\0\0\0\0\0", "domain", {"answer": "refused"}),
    (123, NTP, "ntp", {"protocol": "4", "stratum": "2"}),
    (123, bytes.fromhex("168200010000000000000000") + b'version="ntpd 4.2.8p15", a=1', "ntp",
     {"product": "ntpd 4.2.8p15"}),
    (161, SNMP, "snmp", {"protocol": "2c", "system": "box"}),
    (443, b"\xc0\0\0\0\0\x08openport\x08portside\0\0\0\1\x6b\x33\x43\xcf", "quic", {"versions": "1 2"}),
    (500, b"portside" + b"12345678" + b"\x29\x20\x22\x20" + bytes(8), "isakmp", {"protocol": "2.0"}),
    (1900, b"HTTP/1.1 200 OK\r\nSERVER: Linux UPnP/1.0\r\n\r\n", "ssdp", {"server": "Linux UPnP/1.0"}),
    (3478, struct.pack("!HHI", 0x101, 8, 0x2112A442) + b"portside-one" + b"\x80\x22\0\4none", "stun",
     {"software": "none"}),
    (5060, b"SIP/2.0 404 Not found\r\nUser-Agent: box\r\n\r\n", "sip", {"server": "box"}),
    (5683, b"\x60\x45PS", "coap", None),
    (11_211, b"PS\0\0\0\1\0\0VERSION 1.6.18\r\n", "memcached", {"version": "1.6.18"}),
    (27_015, b"\xff\xff\xff\xffI\x11Server\0map\0", "source-engine", {"server": "Server"}),
]  # fmt: skip

READERS = [*greetings.GREETINGS, *greetings.TCP, *QUESTIONS]


@pytest.mark.parametrize(
    ("data", "name", "details"), TCP, ids=[f"{name} {at}" for at, (_, name, _) in enumerate(TCP)]
)
def test_each_tcp_service_is_known_by_what_it_says_and_by_no_other_name(data, name, details):
    found = {service.name: service for service in (each.read(data) for each in READERS) if service}
    assert set(found) == {name}
    if details is not None:
        told = dict(found[name].details)
        assert {what: told.get(what) for what in details} == details


@pytest.mark.parametrize(
    ("port", "data", "name", "details"), UDP, ids=[f"{name} {port}" for port, _, name, _ in UDP]
)
def test_each_udp_service(port, data, name, details):
    found = recognise_datagram(data, by_port()[port])
    assert found is not None
    assert found.name == name
    assert details is None or dict(found.details) == details


@pytest.mark.parametrize(("data", "name", "details"), TCP[:13], ids=[name for _, name, _ in TCP[:13]])
def test_half_a_greeting_is_not_yet_one(data, name, details):
    """Byte by byte: once known, known for good, and never as something else on the way."""
    seen = [
        {service.name for service in (each.read(data[:size]) for each in greetings.GREETINGS) if service}
        for size in range(len(data) + 1)
    ]
    assert all(names <= {name} for names in seen)
    assert not seen[2]


def test_more_than_forty_services_are_asked_in_their_own_language():
    questions = (*names.UDP, *datagrams.UDP)
    assert len({each.name for each in questions}) >= 40
    assert all(len(each.ask) <= 1472 for each in questions), "none is fragmented on Ethernet"
    assert len(datagrams.QUIC) == 1200, "RFC 9000, 14.1"


def test_questions_are_what_their_documents_say():
    """Lengths that a server checks before it answers."""
    assert databases.TCP[1].ask == b"\0\0\0\x17\0\3\0\0user\0portside\0\0"
    mongo = databases.TCP[2].ask
    assert struct.unpack_from("<I", mongo)[0] == len(mongo)
    assert struct.unpack_from("<I", mongo, 21)[0] == len(mongo) - 21
    hello = web.client_hello()
    assert struct.unpack_from("!H", hello, 3)[0] == len(hello) - 5
    assert int.from_bytes(hello[6:9], "big") == len(hello) - 9
    assert messaging.TCP[1].ask[1] == len(messaging.TCP[1].ask) - 2
    kafka = messaging.TCP[2].ask
    assert struct.unpack_from("!I", kafka)[0] == len(kafka) - 4
    smb = remote.TCP[0].ask
    assert struct.unpack_from("!I", smb)[0] == len(smb) - 4
    assert len(remote.TCP[1].ask) == 72
    assert struct.unpack_from("!H", remote.TCP[2].ask, 2)[0] == len(remote.TCP[2].ask)
    assert struct.unpack_from("<H", remote.TCP[5].ask, 8)[0] == len(remote.TCP[5].ask)
    tag, body = next(asn1.elements(names.ldap_root()))
    assert (tag, len(list(asn1.elements(body)))) == (asn1.SEQUENCE, 2)


def test_the_host_s_name_cannot_break_the_request():
    assert web.http_request("a\r\nX: y").split(b"\r\n")[1] == b"Host: [aX:y]"
    assert web.http_request("2001:db8::1").split(b"\r\n")[1] == b"Host: [2001:db8::1]"


def test_a_certificate_of_openssl(tmp_path):
    import shutil
    import subprocess

    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    command += " -subj /O=Example/CN=box.example"
    command += " -addext subjectAltName=DNS:box.example,DNS:*.box.example,IP:192.0.2.7,IP:2001:db8::7 -keyout key.pem"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=True)
    der = base64.b64decode("".join(done.stdout.splitlines()[1:-1]))
    told = read_certificate(der)
    assert told["subject"] == told["issuer"] == "box.example"
    assert told["names"] == "box.example *.box.example 192.0.2.7 2001:db8::7"
    end = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-enddate", "-dateopt", "iso_8601"],
        input=der, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    assert told["expires"].replace("T", " ") == end.strip().partition("=")[2]
