"""The TLS end: bytes arrive, half-close is kept both ways, and a missing close_notify is noticed."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import threading
from pathlib import Path

import pytest

from portside.use.relay.driver import Driver
from portside.use.relay.ends import SocketEnd
from portside.use.relay.relay import Relay
from portside.use.relay.rules import ENDED
from portside.use.relay.tls import TlsEnd

TLS = Path(__file__).parents[1] / "data" / "tls"


def contexts(version):
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    client.load_verify_locations(TLS / "localhost.crt")
    server.maximum_version = client.maximum_version = version
    return server, client


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.settimeout(20)
    return client, server


class Shaking:
    """Shakes hands in the loop, then starts the relay."""

    def __init__(self, driver, end, other):
        self.driver, self.end, self.other = driver, end, other
        self.relay = None
        self.go_on(end.source)

    def go_on(self, descriptor):
        events = self.end.handshake()
        self.driver.forget(descriptor)
        if events:
            self.driver.watch(descriptor, events, self.go_on)
        else:
            self.relay = Relay(self.driver, self.end, self.other)
            self.relay.start()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def between(request):
    """A TLS client, and behind a relay that speaks TLS to it the plain far end."""
    server_context, client_context = contexts(request.param)
    near, first = tcp_pair()
    far, second = tcp_pair()
    with contextlib.closing(near), contextlib.closing(far), Driver() as driver:
        shaking = Shaking(driver, TlsEnd(first, server_context, server=True), SocketEnd(second))
        thread = threading.Thread(target=driver.run)
        thread.start()
        client = Client(near, client_context)
        yield client, far, shaking
        near.close()
        far.close()
        thread.join(20)
        assert not thread.is_alive()


class Client:
    """The other side: blocking, on two memory BIOs, so that it can half-close."""

    def __init__(self, connection, context):
        self.connection = connection
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.do(self.tls.do_handshake)

    def do(self, function, *args):
        while True:
            try:
                done = function(*args)
            except ssl.SSLWantReadError:
                self.connection.sendall(self.outgoing.read())
                data = self.connection.recv(65536)
                self.incoming.write(data) if data else self.incoming.write_eof()
            else:
                self.connection.sendall(self.outgoing.read())
                return done

    def shut(self):
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self.connection.sendall(self.outgoing.read())

    def read_all(self):
        found = bytearray()
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while chunk := self.do(self.tls.read, 65536):
                found += chunk
        return bytes(found)


def read_all(connection):
    found = bytearray()
    while chunk := connection.recv(65536):
        found += chunk
    return bytes(found)


def test_an_answer_after_the_question_has_ended(between):
    client, far, shaking = between
    client.do(client.tls.write, b"question")
    client.shut()
    assert read_all(far) == b"question"
    answer = random.Random(1).randbytes(3_000_000)
    sender = threading.Thread(target=lambda: (far.sendall(answer), far.shutdown(socket.SHUT_WR)))
    sender.start()
    assert client.read_all() == answer
    sender.join(20)
    assert not shaking.end.truncated


def test_much_from_the_tls_side(between):
    client, far, _shaking = between
    data = random.Random(2).randbytes(3_000_000)
    got = []
    reader = threading.Thread(target=lambda: got.append(read_all(far)))
    reader.start()
    for start in range(0, len(data), 60_000):
        client.do(client.tls.write, data[start : start + 60_000])
    client.shut()
    reader.join(20)
    assert got == [data]
    far.shutdown(socket.SHUT_WR)
    assert client.read_all() == b""


def test_a_peer_that_hangs_up_without_a_word(between):
    client, far, shaking = between
    client.do(client.tls.write, b"cut")
    client.connection.shutdown(socket.SHUT_WR)
    assert read_all(far) == b"cut"
    assert shaking.end.truncated


def test_over_when_both_ended(between):
    client, far, shaking = between
    client.shut()
    far.shutdown(socket.SHUT_WR)
    assert client.read_all() == b""
    assert read_all(client.connection) == b""
    assert shaking.relay.session.over == ENDED
