"""The clients and targets that relays are measured with.  A script of its own, run inside the benchmark's namespace.

relay_load.py sink PORT                     takes everything and forgets it in the kernel, then says one byte
relay_load.py bulk PORT MEGABYTES           sends so much, waits for that byte; prints the seconds
relay_load.py connections PORT N AT_ONCE    N times: connect, send ten bytes, have them back, close
relay_load.py echo PORT N CLIENTS SIZE      N round trips over CLIENTS connections
relay_load.py uvloop PORT                   the echo protocol of uvloop's own example; without uvloop, asyncio's loop
"""

from __future__ import annotations

import asyncio
import select
import socket
import sys
import time
from collections.abc import Callable

HOST = "127.0.0.1"
QUESTION = b"0123456789"
CHUNK = 1 << 20


def sink(port: int) -> None:
    """Discard by MSG_TRUNC (tcp(7)): nothing is copied, so that the relay is what is measured."""
    unused = bytearray(CHUNK)
    with socket.create_server((HOST, port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                while connection.recv_into(unused, CHUNK, socket.MSG_TRUNC):
                    pass
                connection.sendall(b"!")


def bulk(port: int, megabytes: int) -> None:
    """Send from one buffer."""
    data = bytes(CHUNK)
    began = time.perf_counter()
    with socket.create_connection((HOST, port)) as connection:
        for _ in range(megabytes):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(1) != b"!":
            sys.exit("the sink did not get to the end")
    print(time.perf_counter() - began)


def connections(port: int, number: int, at_once: int) -> None:
    """Open and close, some at once."""
    began = time.perf_counter()
    epoll = select.epoll()
    open_now: dict[int, socket.socket] = {}
    begun = done = 0
    while done < number:
        while begun < number and len(open_now) < at_once:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            made.connect_ex((HOST, port))
            open_now[made.fileno()] = made
            epoll.register(made.fileno(), select.EPOLLOUT)
            begun += 1
        for descriptor, events in epoll.poll(20.0):
            made = open_now[descriptor]
            if events & select.EPOLLOUT:
                made.send(QUESTION)
                epoll.modify(descriptor, select.EPOLLIN)
            elif made.recv(100) == QUESTION:
                epoll.unregister(descriptor)
                open_now.pop(descriptor).close()
                done += 1
            else:
                sys.exit("an answer is not what was asked")
    print(time.perf_counter() - began)


def echo(port: int, number: int, clients: int, size: int) -> None:
    """Ask again as soon as an answer is whole."""
    question = bytes(size)
    buffer = bytearray(size)
    epoll = select.epoll()
    made = {}
    for _ in range(clients):
        connection = socket.create_connection((HOST, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made[connection.fileno()] = connection
        epoll.register(connection.fileno(), select.EPOLLIN)
    missing = dict.fromkeys(made, size)
    began = time.perf_counter()
    for connection in made.values():
        connection.send(question)
    done = 0
    while done < number:
        for descriptor, _ in epoll.poll(20.0):
            got = made[descriptor].recv_into(buffer)
            if not got:
                sys.exit("the server has ended a connection")
            missing[descriptor] -= got
            if not missing[descriptor]:
                missing[descriptor] = size
                done += 1
                made[descriptor].send(question)
    print(time.perf_counter() - began)


class Echo(asyncio.Protocol):
    """As in uvloop's examples/bench/echoserver.py."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, HOST, port)
    await server.serve_forever()


def on_uvloop(port: int) -> None:
    try:
        import uvloop
    except ImportError:  # as a target behind relays it does
        asyncio.run(serve(port))
    else:
        uvloop.run(serve(port))


if __name__ == "__main__":
    ROLES: dict[str, Callable[..., None]] = {
        "sink": sink,
        "bulk": bulk,
        "connections": connections,
        "echo": echo,
        "uvloop": on_uvloop,
    }
    ROLES[sys.argv[1]](*map(int, sys.argv[2:]))
