"""Message brokers and proxies: AMQP, MQTT, Kafka, STOMP, SOCKS."""

from __future__ import annotations

import struct

from portside.probe.identify.question import Question, Service, number, service, text

_AMQP = b"AMQP\0\0\x09\1"


def read_amqp(data: bytes) -> Service | None:
    """Recognise connection.start with the product's name, or the header of another version (AMQP 0-9-1, 4.2.2)."""
    if data.startswith(b"AMQP") and len(data) >= 8:
        return service("amqp", protocol=".".join(map(str, data[5:8])))
    if len(data) < 12 or data[:3] != b"\1\0\0" or data[7:11] != b"\0\x0a\0\x0a":
        return None
    return service("amqp", product=_long(data, b"\x07product"), version=_long(data, b"\x07version"))


def _long(data: bytes, name: bytes) -> str:
    """Return the long string behind a name in a field table."""
    at = data.find(name + b"S")
    at += len(name) + 1
    return text(data[at + 4 : at + 4 + number(data, at, 4)]) if at > len(name) else ""


_MQTT = b"\x10\x14\0\4MQTT\4\2\0\x3c\0\x08portside"  # CONNECT of version 3.1.1, clean session: OASIS MQTT 3.1.1, 3.1


def read_mqtt(data: bytes) -> Service | None:
    """Recognise CONNACK and what it says."""
    if len(data) < 4 or data[:2] != b"\x20\2" or data[2] > 1 or data[3] > 5:
        return None
    said = (
        "accepted",
        "version refused",
        "identifier refused",
        "unavailable",
        "bad user or password",
        "not authorised",
    )
    return service("mqtt", answer=said[data[3]])


# ApiVersions, version 0 (Apache Kafka protocol): size, key 18, version, our number, the client's name.
_KAFKA = struct.pack("!IHHIH", 18, 18, 0, 0x50534944, 8) + b"portside"


def read_kafka(data: bytes) -> Service | None:
    """Recognise the answer by our number, an error code and a list of calls."""
    if len(data) < 14 or data[4:8] != b"PSID" or number(data, 0, 4) > 65_536:
        return None
    return service("kafka", calls=str(number(data, 10, 4)))


def read_stomp(data: bytes) -> Service | None:
    """Recognise CONNECTED or ERROR (STOMP 1.2)."""
    if not data.startswith((b"CONNECTED\n", b"ERROR\n", b"CONNECTED\r\n", b"ERROR\r\n")):
        return None
    return service("stomp", server=text(data.partition(b"server:")[2].partition(b"\n")[0]))


def read_socks5(data: bytes) -> Service | None:
    """Recognise the choice of a method (RFC 1928, 3)."""
    ways = {0: "no authentication", 1: "GSSAPI", 2: "user and password", 255: "none acceptable"}
    return (
        service("socks5", authentication=ways[data[1]])
        if len(data) == 2 and data[0] == 5 and data[1] in ways
        else None
    )


def read_socks4(data: bytes) -> Service | None:
    """Recognise the answer to a request that cannot be granted (SOCKS 4, "CONNECT")."""
    return service("socks4") if len(data) == 8 and data[0] == 0 and data[1] in (90, 91, 92, 93) else None


def read_xmpp(data: bytes) -> Service | None:
    """Recognise the opening of a stream (RFC 6120, 4.2)."""
    return service("xmpp") if b"<stream:stream" in data or b"<stream:error" in data else None


_XMPP = (
    b"<?xml version='1.0'?><stream:stream to='portside' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)

TCP = (
    Question("amqp", (5672,), _AMQP, read_amqp),
    Question("mqtt", (1883,), _MQTT, read_mqtt),
    Question("kafka", (9092, 9093, 9094), _KAFKA, read_kafka),
    Question("stomp", (61_613,), b"CONNECT\naccept-version:1.2\nhost:/\n\n\0", read_stomp),
    Question("socks5", (1080, 1081, 9050, 9150), b"\5\3\0\1\2", read_socks5),
    Question("socks4", (1080,), b"\4\1\0\1\x7f\0\0\1\0", read_socks4),
    Question("xmpp", (5222, 5269), _XMPP, read_xmpp),
)  # fmt: skip
