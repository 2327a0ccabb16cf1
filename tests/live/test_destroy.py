"""SOCK_DESTROY ends the very socket that was meant, or none."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from tests.support import require

from portside.errors import NotPermitted, PortsideError
from portside.system.netlink import Netlink
from portside.testing.namespaces import become
from portside.wire import inet_diag, tcp_states

TCP, UDP = inet_diag.IPPROTO_TCP, inet_diag.IPPROTO_UDP
NOBODY = 65534


def rows(link: Netlink, family: int, protocol: int = TCP):
    """Every socket of a family and protocol by its local port, bound ones included."""
    dump = link.dump(inet_diag.request(family, protocol, tcp_states.ALL), "sockets")
    return {inet_diag.ntohs(row[4]): row for row in inet_diag.rows(dump)}


def connected(family: int, address: str):
    """A listener and two connections to it: (clients, accepted)."""
    listener = socket.socket(family)
    listener.bind((address, 7000))
    listener.listen(4)
    clients, accepted = [], []
    for number in (7001, 7002):
        client = socket.socket(family)
        client.bind((address, number))
        client.connect((address, 7000))
        clients.append(client)
        accepted.append(listener.accept()[0])
    return listener, clients, accepted


def outcome(function) -> str:
    """What became of a call: a value, or the name of its error."""
    try:
        return repr(function())
    except OSError as error:
        return errno.errorcode[error.errno]


def destroy_one(family: int, address: str):
    """Destroy the first of two connections; tell how all sockets are then."""
    listener, clients, accepted = connected(family, address)
    with Netlink() as link:
        link.call(inet_diag.destroy_request(TCP, rows(link, family)[7001]), "tcp connection")
        after = {number: tcp_states.stream_state(row[1]) for number, row in rows(link, family).items()}
    told = [outcome(lambda one=one: one.send(b"x")) for one in clients]
    told += [outcome(lambda: accepted[0].recv(1)), outcome(lambda: accepted[1].recv(1))]
    for one in (listener, *clients, *accepted):
        one.close()
    return after, told


@pytest.mark.parametrize(
    ("family", "address"), [(inet_diag.AF_INET, "127.0.0.1"), (inet_diag.AF_INET6, "::1")]
)
def test_one_connection_ends_and_the_other_lives(space, family, address):
    after, told = space.call(destroy_one, family, address)
    assert told == ["ECONNABORTED", "1", "ECONNRESET", "b'x'"]
    assert after == {7000: "established", 7001: "bound-inactive", 7002: "established"}


def destroy_listener_and_datagram():
    listener, bound = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 7100))
    listener.listen(1)
    bound.bind(("127.0.0.1", 7101))
    with Netlink() as link:
        link.call(inet_diag.destroy_request(TCP, rows(link, 2)[7100]), "tcp listener")
        link.call(inet_diag.destroy_request(UDP, rows(link, 2, UDP)[7101]), "udp socket")
        state = tcp_states.stream_state(rows(link, 2)[7100][1])
    bound.settimeout(0)
    return state, outcome(listener.accept), outcome(lambda: bound.recv(1))


def test_listeners_and_datagram_sockets_too(space):
    """A port that was bound by bind(2) stays bound until its holder closes the descriptor."""
    assert space.call(destroy_listener_and_datagram) == ("bound-inactive", "EINVAL", "ECONNABORTED")


def destroy_another(change):
    """Ask for a socket that differs in one column; tell the error and whether anything ended."""
    kept = connected(inet_diag.AF_INET, "127.0.0.1")
    with Netlink() as link:
        before = rows(link, 2)
        row = change(before[7001])
        try:
            link.call(inet_diag.destroy_request(TCP, row), "tcp connection")
        except PortsideError as error:
            told = type(error).__name__, error.errno, str(error)
        else:
            told = ("nothing", None, "")
        after = rows(link, 2)
        told = *told, [before[number][9] for number in before] == [after[number][9] for number in after]
    for one in (kept[0], *kept[1], *kept[2]):
        one.close()
    return told


def other_cookie(row):
    """The port and address of a connection that has ended, taken by another since."""
    return (*row[:9], row[9] + 1, *row[10:])


def other_port(row):
    return (*row[:4], row[4] ^ 0x5555, *row[5:])


def test_a_cookie_that_is_another_destroys_nothing(space):
    kind, number, text, unharmed = space.call(destroy_another, other_cookie)
    assert (kind, number, unharmed) == ("Vanished", errno.ENOENT, True)
    assert text == "change tcp connection: there is none such"


def test_a_socket_that_is_not_there_destroys_nothing(space):
    kind, _, _, unharmed = space.call(destroy_another, other_port)
    assert (kind, unharmed) == ("Vanished", True)


def destroy_as_nobody():
    kept = connected(inet_diag.AF_INET, "127.0.0.1")
    with Netlink() as link:
        row = rows(link, 2)[7001]
    become(NOBODY)
    with Netlink() as link:
        try:
            link.call(inet_diag.destroy_request(TCP, row), "tcp connection")
        except NotPermitted as error:
            return str(error), outcome(lambda: kept[1][0].send(b"x"))
    return "destroyed", ""


def test_it_takes_the_right_to(space):
    require(os.geteuid() == 0, "needs root, to be another user")
    assert space.call(destroy_as_nobody) == (
        "change tcp connection: operation not permitted; run it with sudo", "1",
    )  # fmt: skip
