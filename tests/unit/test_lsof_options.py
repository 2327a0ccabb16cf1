"""The lsof face's command line: what is taken, what is refused, and in which words."""

from __future__ import annotations

import pytest

from portside.faces.lsof import main
from portside.faces.lsof.options import DELAY, FLAGS, QUEUES, STATE, WINDOWS
from portside.faces.lsof.parsing import parse
from portside.faces.lsof.words import Words


def letters(*typed):
    """Return what is read: (sign and letter, value), as if every option took its value."""
    words, found = Words([*typed]), []
    while letter := words.next():
        found.append((words.sign + letter, words.value))
    return found, words.operands()


def test_letters_may_be_bundled_and_have_values():
    assert letters("-nP", "-i4", "+c", "15", "-t", "name") == (
        [("-n", None), ("-P", None), ("-i", "4"), ("+c", "15"), ("-t", None)],
        ["name"],
    )


@pytest.mark.parametrize(
    ("typed", "rest"), [(["-t", "--", "-i"], ["-i"]), (["-t", "-"], ["-"]), (["x", "-t"], ["x", "-t"])]
)
def test_options_end(typed, rest):
    assert letters(*typed)[1] == rest


def test_two_dashes_are_no_value():
    assert letters("-i", "--", "x") == ([("-i", None)], ["x"])


@pytest.mark.parametrize(
    ("typed", "attribute", "value"),
    [
        ("-i -P", "services", False),  # a value that looks like an option is none
        ("-i4 -iTCP", "family", 4),
        ("-i4 -i6", "family", 0),
        ("-i4 -i", "family", 0),
        ("-P +P", "services", True),
        ("-n", "hosts", False),
        ("+M -M", "portmap", False),
        ("-w +w", "warnings", True),
        ("-t", "warnings", False),
        ("-L5P", "services", False),  # 5 is refused, P is read
        ("-o5t", "terse", True),
        ("-o", "offset", True),
        ("-o4", "offset", False),
        ("-s", "size", True),
        ("-T", "tell", 0),
        ("+T", "tell", STATE),
        ("-Tqf", "tell", QUEUES | FLAGS),
        ("-FT", "tell", STATE | QUEUES | WINDOWS),
        ("-r", "delay", DELAY),
        ("-r5", "delay", 5),
        ("-r5P", "services", False),
        ("-r5c3", "rounds", 3),
        ("-r 5c3mX", "marker", "X"),
        ("+r", "until_empty", True),
        ("-E", "endpoints", 1),
        ("+E", "endpoints", 2),
        ("-Ki", "tasks", False),
        ("-K", "tasks", True),
        ("+fg", "flags", True),
        ("+fG", "flags_in_hex", True),
        ("+fG -fg", "flags", False),
        ("-F0", "end", "\0"),
        ("-F0n", "end", "\0"),
        ("-Fo", "offset", True),
        ("-FR", "parent", True),
        ("-F", "group", True),
        ("+c 0", "width", 0),
        ("-XX", "not_tcp", False),
        ("-J", "document", "J"),
        ("-i name", "names", []),
        ("-t name", "names", ["name"]),
    ],
)  # fmt: skip
def test_option_is_taken(typed, attribute, value):
    assert getattr(parse(typed.split()), attribute) == value


SAID = [
    ("-q", "illegal option character: q"),
    ("-:", "colon is an illegal option character."),
    ("-i foo:1", "unknown protocol name (foo) in: -i foo:1"),
    ("-F -t", "-F and -t are mutually exclusive"),
    ("-Fy", "unknown field: y"),
    ("-T foo", "unsupported TCP/TPI info selection: o\nunsupported TCP/TPI info selection: o"),
    ("-s TCP:foo,^LISTEN,LISTEN", "unknown TCP state name: foo\ncan't include and exclude TCP state: LISTEN"),
    ("-s UDP:Idle", "no UDP state names available: UDP:Idle"),
    ("-s TCP:", "no TCP state names in: TCP:"),
    ("-s TCP:,LISTEN", "NULL TCP state name in: TCP:,LISTEN"),
    ("-s TCP:LISTEN,LISTEN", "duplicate TCP inclusion: LISTEN"),
    ("-s xyz", 'unknown -s protocol: "xyz"'),
    ("-c /foo", "regexp doesn't end with '/': /foo"),
    ("-c /fo(/", "regexp error: /fo(/: Unmatched ( or \\("),
    ("-c /fo/bxbii", "b and x regexp modifiers conflict: /fo/bxbii\nb regexp modifier already used: /fo/bxbii\n"
     "i regexp modifier already used: /fo/bxbii"),
    ("-c /fo/q", "invalid regexp modifier: q"),
    ("-c 12345678901234567890", '"-c 12345678901234567890" length (20) > what system provides (15)'),
    ("-c -i", "missing -c option value"),
    ("-c a -c ^a", "-c^a and -ca conflict."),
    ("+c 20", "+c 20 > what system provides (15)"),
    ("+c x", "+c not followed by width number"),
    ("-d 3-1", "-d FD range's low >= its high: 3-1"),
    ("-d -3", "illegal FD range for -d: -3"),
    ("-d a-b", "non-digit in -d FD range: a-b"),
    ("-d 3,^4", "exclude in an include -d list: ^4"),
    ("-d", "no file descriptor specified"),
    ("-u nosuchuser", "can't get UID for nosuchuser"),
    ("-u ^0,0", "UID 0 has been included and excluded."),
    ("-u", "no UIDs specified"),
    ("-p ^1,1", "PID 1 has been included and excluded."),
    ("-p x", "illegal process ID: x"),
    ("-p", "no process ID specified"),
    ("-g ^1,1", "PGID 1 has been included and excluded."),
    ("-K x", "-K not followed by i (but by x)"),
    ("-L5", "no number may follow -L"),
    ("-m", "-m not supported"),
    ("-D x", "unsupported option: -D"),
    ("-x", "-x must accompany +d or +D"),
    ("-xq", "unknown cross-over option: q\n-x must accompany +d or +D"),
    ("-o -s", "-o and -s are mutually exclusive"),
    ("-i -r1m%n -F", '%n illegal in -r m<fmt> when -F has been specified: "%n"'),
    ("-rm", 'illegal <fmt>: ""'),
    ("+fz", "unknown file struct option: z"),
    ("-J -j", "-J and -j are mutually exclusive"),
    ("-J -t", "-F and -t are mutually exclusive\n-J/-j and -t are mutually exclusive"),
    ("+J", "+J is not supported"),
    ("-i6@127.0.0.1", "IPv4 addresses are prohibited: -i 6@127.0.0.1"),
    ("-i4@[::1]", "IPv6 addresses are prohibited: -i 4@[::1]"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "said"), SAID, ids=[typed for typed, _ in SAID])
def test_what_is_wrong_is_said_as_lsof_says_it(typed, said, capsys):
    """The words are those that lsof 4.95 printed; the usage follows, and the exit code is 1."""
    assert main(typed.split()) == 1
    out, err = capsys.readouterr()
    expected = "".join(f"lsof: {line}\n" for line in said.split("\n"))
    assert err.startswith(expected + "lsof 4.95.0\n latest revision: ")
    assert err.endswith("Use the ``-h'' option to get more help information.\n")
    assert not out


def test_a_short_wait_is_warned_of():
    options = parse(["-S", "1"])
    assert (options.said, options.wrong) == (["WARNING: -S time (1) changed to 2"], False)


NOT_OURS = [
    "",
    "-p 1",
    "-u root",
    "-c a",
    "-p ^1",
    "-i -p 1",
    "-U -u root",
    "-d 3 -d cwd",
    "-i -d ^3",
    "-K",
    "+L1",
]


@pytest.mark.parametrize("typed", NOT_OURS)
def test_a_listing_of_other_files_is_refused(typed, capsys):
    """It says what was typed, why, and what to add; never a listing that lacks files in silence."""
    assert main(typed.split()) == 1
    out, err = capsys.readouterr()
    typed = f"lsof {typed}".strip()
    assert err == (
        f"lsof: `{typed}` would list every kind of open file, and this face shows network files only; "
        "add -a -i (Internet) or -a -U (Unix domain)\n"
    )
    assert not out


@pytest.mark.parametrize("typed", ["+d /tmp", "+D /tmp", "-e /mnt", "+e /mnt", "+m"])
def test_what_is_about_other_files_is_refused(typed, capsys):
    assert main(["-i", *typed.split()]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"lsof: {typed[:2]} ")
    assert err.endswith(": this face shows network files only\n")
    assert not out


def test_a_file_that_is_no_socket_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"lsof: {tmp_path} is no socket: this face shows network files only\n"


def test_and_needs_something_to_select(capsys):
    assert main(["-a"]) == 1
    assert capsys.readouterr().err.startswith("lsof: no select options to AND via -a\nlsof 4.95.0\n")


def test_help_is_this_faces_own(capsys):
    assert main(["-h"]) == 0
    assert capsys.readouterr().err.startswith("The network half of lsof")


def test_field_help_is_lsofs(capsys):
    assert main(["-F?"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "lsof:\tID    field description",
        "\t a    access: r = read; w = write; u = read/write",
    ]
    assert len(lines) == 27


def test_what_is_quoted_is_escaped(capsys):
    """No byte of the command line reaches the terminal as it is."""
    main(["-u", "\x1b[31m", "-i", "\x1b:1", "-Q\x1b"])
    assert "\x1b" not in capsys.readouterr().err
