"""Databases and caches that wait to be asked: what each answers before anybody has logged in."""

from __future__ import annotations

import struct

from portside.probe.identify.question import Question, Service, number, service, text


def read_redis(data: bytes) -> Service | None:
    """`PING` (RESP, inline): +PONG, or an error that names the protocol; `INFO server` tells the version."""
    if data.startswith(b"$") and b"redis_version:" in data:
        return service("redis", version=text(data.partition(b"redis_version:")[2].partition(b"\r\n")[0]))
    if (
        data.startswith((b"-NOAUTH", b"-DENIED", b"-ERR operation not permitted", b"-NOPERM"))
        and b"\r\n" in data
    ):
        return service("redis", answer=text(data[1:].partition(b"\r\n")[0]))
    return service("redis") if data.startswith(b"+PONG\r\n") else None


def _postgres() -> bytes:
    """A start of protocol 3 as nobody: refused with an error, or asked for a password (PostgreSQL, 53.2.1)."""
    body = struct.pack("!I", 196_608) + b"user\0portside\0\0"
    return struct.pack("!I", len(body) + 4) + body


def read_postgres(data: bytes) -> Service | None:
    """Recognise a request to authenticate or an ErrorResponse with its fields (PostgreSQL, 53.7)."""
    if len(data) < 9 or data[:1] not in (b"R", b"E") or not 4 <= number(data, 1, 4) < 4096:
        return None
    if data[:1] == b"R":
        return (
            service("postgresql", answer="asks for a password") if number(data, 5, 4) in range(14) else None
        )
    if data[5:6] not in (b"S", b"F"):  # protocol 2 has no fields
        return None
    fields = {part[:1]: part[1:] for part in data[5:].split(b"\0") if part}
    return service("postgresql", answer=text(fields.get(b"M", b""))) if b"C" in fields else None


def _mongo() -> bytes:
    """OP_MSG with {hello: 1, $db: "admin"} (MongoDB wire protocol)."""
    document = b"\x10hello\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0"
    document = struct.pack("<I", len(document) + 4) + document
    body = struct.pack("<I", 0) + b"\0" + document
    return struct.pack("<4I", 16 + len(body), 0x5053, 0, 2013) + body


def read_mongo(data: bytes) -> Service | None:
    """Recognise the answer to our request; the highest wire version."""
    if len(data) < 26 or struct.unpack_from("<I", data, 8)[0] != 0x5053:
        return None
    if struct.unpack_from("<I", data, 12)[0] not in (1, 2013):
        return None
    at = data.find(b"\x10maxWireVersion\0")
    version = struct.unpack_from("<I", data, at + 16)[0] if 0 <= at <= len(data) - 20 else ""
    return service("mongodb", wire=str(version))


def read_memcached(data: bytes) -> Service | None:
    """`version` (memcached's protocol.txt)."""
    complete = data.startswith(b"VERSION ") and b"\r\n" in data
    return service("memcached", version=text(data[8:].partition(b"\r\n")[0])) if complete else None


def _tds() -> bytes:
    """A TDS PRELOGIN: version and encryption (MS-TDS, 2.2.6.5)."""
    options = b"\0\0\x0b\0\6" + b"\1\0\x11\0\1" + b"\xff"
    body = options + bytes(6) + b"\2"
    return struct.pack("!BBHHBB", 18, 1, 8 + len(body), 0, 0, 0) + body


def read_tds(data: bytes) -> Service | None:
    """Recognise the server's PRELOGIN, with its version."""
    if len(data) < 14 or data[0] != 4 or number(data, 2, 2) > 4096 or data[8] != 0:
        return None
    at = 8 + number(data, 9, 2)
    if at + 4 > len(data):
        return None
    return service("ms-sql-s", version=f"{data[at]}.{data[at + 1]}.{number(data, at + 2, 2)}")


_CASSANDRA = b"\x04\0\0\0\x05\0\0\0\0"  # OPTIONS, version 4: the native protocol, 4.1.3


def read_cassandra(data: bytes) -> Service | None:
    """Recognise SUPPORTED, or an error that names the versions there are."""
    known = len(data) >= 9 and data[0] in range(0x81, 0x87) and data[4] in (0, 6)
    return service("cassandra", answer=text(data[15:]) if data[4] == 0 else "") if known else None


def read_zookeeper(data: bytes) -> Service | None:
    """`srvr`, the words of four letters (ZooKeeper administrator's guide)."""
    if data.startswith(b"Zookeeper version: ") and b"\n" in data:
        return service("zookeeper", version=text(data[19:].partition(b"\n")[0]).partition(",")[0])
    return service("zookeeper") if data.startswith(b"srvr is not executed") else None


TCP = (
    Question("redis", (6379, 6380, 26_379), b"INFO server\r\n", read_redis),
    Question("postgresql", (5432, 5433, 6432), _postgres(), read_postgres),
    Question("mongodb", (27_017, 27_018), _mongo(), read_mongo),
    Question("memcached", (11_211,), b"version\r\n", read_memcached),
    Question("ms-sql-s", (1433,), _tds(), read_tds),
    Question("cassandra", (9042,), _CASSANDRA, read_cassandra),
    Question("zookeeper", (2181,), b"srvr", read_zookeeper),
)
