"""The library's entrances to using ports: what they give, what they raise."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from tests.live.forwarding import Target, echo, port_of, read_all

import portside

TLS = Path(__file__).resolve().parents[1] / "data" / "tls"
PIN = "sha256:75c9421cfda06ec3dabc6ba6d0a322c2e59ebdbc56a4aeff1e81f56bedb2bda0"


def test_connect_over_each_kind_of_place(tmp_path):
    path = str(tmp_path / "x")
    with Target(echo) as tcp, Target(echo, socket.AF_UNIX, path):
        for place in (f"127.0.0.1:{tcp.port}", f"localhost:{tcp.port}", str(tcp.port), path):
            with portside.connect(place, timeout=5) as connection:
                assert connection.gettimeout() is None
                connection.sendall(b"hello")
                connection.shutdown(socket.SHUT_WR)
                assert read_all(connection) == b"hello"
        with portside.connect(f"127.0.0.1:{tcp.port}", source="127.0.0.5") as connection:
            assert connection.getsockname()[0] == "127.0.0.5"


def test_connect_over_udp():
    with portside.serve("echo:0/udp", bind="127.0.0.1") as server:
        (_, _, address), *_ = server.addresses
        with portside.connect(f"{address}/udp") as connection:
            connection.settimeout(10)
            connection.send(b"hello")
            assert connection.recv(100) == b"hello"


def secured(connection):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    try:
        with context.wrap_socket(connection, server_side=True) as server:
            server.sendall(b"secret")
    except OSError:
        pass


def test_connect_over_tls_verifies():
    with Target(secured) as target:
        with pytest.raises(portside.NotSupported, match="not good: self-signed certificate"):
            portside.connect(f"localhost:{target.port}", tls=True)
        trusting = ssl.create_default_context(cafile=str(TLS / "localhost.crt"))
        with portside.connect(f"localhost:{target.port}", tls=trusting) as connection:
            assert connection.recv(100) == b"secret"
        for tls in (portside.Tls(ca=str(TLS / "localhost.crt")), portside.Tls(pin=PIN)):
            with portside.connect(f"localhost:{target.port}", tls=tls) as connection:
                assert connection.recv(100) == b"secret"


def test_connect_says_why_not():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(portside.NotSupported, match="refused"):
        portside.connect(f"127.0.0.1:{port}")
    with pytest.raises(portside.BadRequest):
        portside.connect("::1:80")
    with pytest.raises(portside.BadRequest, match="TLS takes TCP"):
        portside.connect("53/udp", tls=True)


def test_run_here_until_stopped():
    server = portside.serve("echo:0/tcp", bind="127.0.0.1")
    threading.Timer(0.1, server.stop).start()
    server.run()
    assert server.addresses == []
    with pytest.raises(portside.BadRequest):
        portside.serve("nothing:0")


def test_forward_by_words_and_by_file(tmp_path):
    with Target(echo) as target:
        (tmp_path / "x.toml").write_text(
            f'[[forward]]\nlisten = "127.0.0.1:0"\ntarget = "127.0.0.1:{target.port}"\n'
        )
        both = portside.forward("0", f"127.0.0.1:{target.port}", config=str(tmp_path / "x.toml"), idle=5)
        with both as forwarder:
            assert len(forwarder.addresses) == 2
            for address in forwarder.addresses:
                with portside.connect(f"127.0.0.1:{port_of(address)}") as connection:
                    connection.sendall(b"hello")
                    assert connection.recv(10) == b"hello"
    with pytest.raises(portside.BadRequest, match="no such key"):
        portside.forward("0", "127.0.0.1:9", nonsense=1)
    with pytest.raises(portside.BadRequest, match="nothing to forward"):
        portside.forward()
