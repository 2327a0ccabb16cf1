"""The small texts of the ss face: timers, details, shutdown marks, socket options, memory."""

from __future__ import annotations

import struct

import pytest

from portside.faces.ss import extras, memory


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, ""),
        (3, "003ms"),
        (476, "476ms"),
        (1000, "1sec"),
        (9501, "9.501ms"),  # the unit is ss's
        (10_501, "10sec"),
        (59_999, "59sec"),
        (60_000, "1min"),
        (90_500, "1min30sec"),
        (9 * 60_000 + 59_000, "9min59sec"),
        (10 * 60_000 + 59_000, "10min"),
        (7_199_000, "119min"),
    ],
)
def test_a_time_is_written_with_the_units_that_matter(milliseconds, text):
    assert extras.duration(milliseconds) == text


def test_a_timer_that_does_not_run_is_not_shown():
    assert extras.timer(0, 100, 3) == extras.sctp_timer(0, 100, 3) == ""


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "on"), (2, "keepalive"), (3, "timewait"), (4, "persist"), (5, "unknown"), (200, "unknown")],
)
def test_timers_have_the_names_that_ss_gives(number, name):
    assert extras.timer(number, 1000, 2) == f" timer:({name},1sec,2)"


def test_sctp_has_one_timer():
    assert extras.sctp_timer(7, 1000, 2) == " timer:(T3_RTX,1sec,2)"


def test_details_leave_out_root_no_mark_and_no_cgroup():
    assert extras.details(0, 17, 42) == " ino:17 sk:2a"
    assert extras.details(1000, 17, 42, 5, "/a") == " uid:1000 ino:17 sk:2a fwmark:0x5 cgroup:/a"


@pytest.mark.parametrize(("told", "text"), [(None, ""), (False, " v6only:0"), (True, " v6only:1")])
def test_v6only_is_shown_where_the_kernel_tells_it(told, text):
    assert extras.v6only(told) == text


@pytest.mark.parametrize(("mask", "text"), [(None, ""), (0, " <->"), (1, " -->"), (2, " <--"), (3, " ---")])
def test_a_dash_stands_for_what_is_shut_down(mask, text):
    assert extras.shutdown(mask) == text


def test_type_of_service_is_hexadecimal_and_zero_bare():
    assert extras.tos({}) == ""
    assert extras.tos({"tos": 0, "tclass": 16, "class_id": 0x10001}) == " tos:0 tclass:0x10 class_id:0x10001"


def test_socket_options_stand_on_their_own_line():
    assert extras.sockopt(b"\x50\x00", False) == "\n\tinet-sockopt: ( mc_loop mc_all)"
    assert extras.sockopt(b"\xff\xff", True) == (
        " inet-sockopt: ( recverr is_icsk freebind hdrincl mc_loop transparent mc_all nodefrag bind_addr_no_port"
        " recverr_rfc4884 defer_connect)"
    )
    assert extras.sockopt(b"\x50", False) == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (9, " skmem:(r0,rb1,t2,tb3,f4,w5,o6,bl7,d8)"),
        (12, " skmem:(r0,rb1,t2,tb3,f4,w5,o6,bl7,d8)"),
        (8, " skmem:(r0,rb1,t2,tb3,f4,w5,o6,bl7)"),
        (7, " skmem:(r0,rb1,t2,tb3,f4,w5,o6)"),
        (2, " skmem:(r0,rb1,t0,tb0,f0,w0,o0)"),
    ],
)
def test_memory_has_as_many_words_as_the_kernel_tells(count, text):
    assert memory.text(struct.pack(f"={count}I", *range(count))) == text


@pytest.mark.parametrize(("number", "value"), [(0, 0), (7, 7), (0xFFFFFFFF, -1), (1 << 32, 0), (-3, -3)])
def test_c_s_int(number, value):
    assert extras.signed(number) == value
