"""HTTP and what runs over it, RTSP, and TLS hellos: servers that wait for a request."""

from __future__ import annotations

import struct

from portside.probe.identify.question import Question, Service, number, service, text

HTTP = b"GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: portside\r\nAccept: */*\r\nConnection: close\r\n\r\n"
RTSP = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"


def http_request(host: str) -> bytes:
    """Return the request for a host's start page; what could end the line early is left out of the name."""
    name = "".join(character for character in host if character.isalnum() or character in ".-:[]")
    return HTTP % (f"[{name}]" if ":" in name and "[" not in name else name).encode("ascii", "ignore")


def read_http(data: bytes) -> Service | None:
    """Recognise a response: status, server and title (RFC 9112; HTML, "The title element").

    Known servers that speak HTTP are named in `product`: Elasticsearch, Docker, CouchDB, Prometheus' exporters.
    """
    if not data.startswith((b"HTTP/1.", b"HTTP/2")) or b"\r\n" not in data:
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    lines = text(head).split("\r\n")
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in lines[1:])
    }
    return service(
        "http", status=lines[0].partition(" ")[2], server=fields.get("server", ""), title=_title(body),
        product=_product(body, fields), location=fields.get("location", ""),
    )  # fmt: skip


def complete_http(data: bytes) -> Service | None:
    """The same, once the headers are there and the title, or all that was said to come."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    if b"</title" in body.lower() or len(body) >= _length(head):
        return read_http(data)
    return None


def _length(head: bytes) -> int:
    """Return the Content-Length, a number that no body reaches where there is none."""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit() and len(value) < 12:
            return int(value)
    return 1 << 40


def _title(body: bytes) -> str:
    lower = body.lower()
    start = lower.find(b"<title")
    start = lower.find(b">", start) + 1 if start >= 0 else 0
    end = lower.find(b"</title", start)
    return text(body[start:end]) if start and end > start else ""


def _product(body: bytes, fields: dict[str, str]) -> str:
    if b'"cluster_name"' in body and b'"lucene_version"' in body:
        return "OpenSearch" if b'"opensearch"' in body else "Elasticsearch"
    if b'"couchdb"' in body:
        return "CouchDB"
    if "docker" in fields.get("server", "").lower() or "api-version" in fields:
        return "Docker"
    if "x-influxdb-version" in fields:
        return f"InfluxDB {fields['x-influxdb-version']}"
    return fields.get("x-powered-by", "")


def read_rtsp(data: bytes) -> Service | None:
    """Recognise an answer of RTSP (RFC 2326)."""
    if not data.startswith(b"RTSP/") or b"\r\n\r\n" not in data:
        return None
    for line in text(data).split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "server":
            return service("rtsp", server=value)
    return service("rtsp")


def client_hello() -> bytes:
    """Return a ClientHello of TLS 1.2 and 1.3 that any server answers, if only with an alert (RFC 8446, 4.1.2)."""
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035000a")
    groups = _extension(10, struct.pack("!H", 8) + bytes.fromhex("001d001700180019"))
    signatures = _extension(13, struct.pack("!H", 16) + bytes.fromhex("04030503060308040805080604010501"))
    share = _extension(51, struct.pack("!HHH", 36, 29, 32) + b"\x09" + bytes(31))
    versions = _extension(43, b"\4\3\4\3\3")
    extensions = groups + signatures + _extension(11, b"\1\0") + versions + share
    hello = b"\3\3" + b"portside" * 4 + b"\0" + struct.pack("!H", len(ciphers)) + ciphers + b"\1\0"
    hello += struct.pack("!H", len(extensions)) + extensions
    handshake = b"\1" + len(hello).to_bytes(3, "big") + hello
    return b"\x16\3\1" + struct.pack("!H", len(handshake)) + handshake


def _extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value


def read_tls(data: bytes) -> Service | None:
    """Recognise a ServerHello or an alert (RFC 8446, 5.1); the handshake itself is made by `ssl`."""
    if len(data) < 6 or data[1] != 3 or number(data, 3, 2) > 1 << 14:
        return None
    return (
        service("tls") if (data[0] == 22 and data[5] == 2) or (data[0] == 21 and data[5] in (1, 2)) else None
    )


_HTTP_PORTS = (
    80,
    81,
    591,
    2375,
    3000,
    3128,
    5000,
    5601,
    5984,
    7474,
    8000,
    8008,
    8080,
    8081,
    8086,
    8088,
    8888,
    9000,
    9090,
)
TLS_PORTS = (
    443,
    465,
    563,
    636,
    853,
    989,
    990,
    992,
    993,
    994,
    995,
    2376,
    3269,
    5061,
    5671,
    6443,
    6697,
    8443,
    8883,
    9443,
)
TCP = (
    Question("http", (*_HTTP_PORTS, 9200), HTTP, complete_http),
    Question("tls", TLS_PORTS, client_hello(), read_tls),
    Question("rtsp", (554, 8554), RTSP, read_rtsp),
)
