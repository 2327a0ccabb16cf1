"""What the tests of forwarding share: small servers in threads, clients, waiting for facts."""

from __future__ import annotations

import socket
import threading
import time

from portside.use.forward.forwarder import Forwarder
from portside.use.forward.rules import Configuration, checked
from portside.use.forward.toml_file import rules_of


def forwarder(*pairs, on_event=None, grace=5.0, **settings):
    """A forwarder of (listen, target) pairs, all with the same settings."""
    rules = [rule for listen, target in pairs for rule in rules_of(listen, target, **settings)]
    return Forwarder(Configuration(checked(rules)), on_event=on_event, grace=grace)


def port_of(address):
    return int(address.rpartition(":")[2])


def read_all(connection):
    found = bytearray()
    while chunk := connection.recv(1 << 16):
        found += chunk
    return bytes(found)


def wait_for(fact, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


def connect(port, host="127.0.0.1"):
    made = socket.create_connection((host, port), timeout=20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def abort(connection):
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


class Target:
    """A server that handles each connection in a thread: `with Target(handle) as target`, at `target.port`."""

    def __init__(self, handle, family=socket.AF_INET, place=("127.0.0.1", 0)):
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(place)
        self.listener.listen(64)
        self.handle = handle
        self.count = 0
        self.threads = []
        self.thread = threading.Thread(target=self.accept)

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            connection.settimeout(20)
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        with connection:
            try:
                self.handle(connection)
            except OSError:
                pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in (self.thread, *self.threads):
            thread.join(20)


def count_then_answer(connection):
    """Read to the end, then say how much that was: only a half-close kept gets an answer."""
    connection.sendall(b"got %d" % len(read_all(connection)))


def echo(connection):
    while chunk := connection.recv(1 << 16):
        connection.sendall(chunk)


def greet_then_read(connection):
    """Speak and end first, then read what the client has to say: half-close the other way."""
    connection.sendall(b"hello")
    connection.shutdown(socket.SHUT_WR)
    connection.heard = read_all(connection)


def name(text):
    """A target that says who it is."""
    return lambda connection: connection.sendall(text.encode())
