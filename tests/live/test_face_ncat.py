"""The ncat face against Ncat, curl and openssl: streams, programs, TLS, proxies, brokers, and who is let in."""

from __future__ import annotations

import contextlib
import http.server
import select
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.netcats import PATIENCE, Started, await_listener, here, run, stream

TLS = Path(__file__).parents[1] / "data" / "tls"
SERVER_TLS = ["--ssl", "--ssl-cert", TLS / "localhost.crt", "--ssl-key", TLS / "localhost.key"]
CLIENT_TLS = ["--ssl-verify", "--ssl-trustfile", TLS / "localhost.crt"]
NCATS = ["ncat", "ncat.real"]
LISTENING = rb"Listening on \S+:(\d+)"


def listening(*words, name="ncat", **streams):
    """Start a listener of ours (theirs tells port 0 as 0) and return it with its port."""
    port = 0
    if name != "ncat":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    started = Started(name, "-lv", *words, "127.0.0.1", port, **streams)
    try:
        return started, int(started.says(LISTENING).group(1))
    except BaseException:
        started.__exit__()
        raise


WORDS = [
    "", "127.0.0.1 1", "-v 127.0.0.1 1", "-Q", "--exec", "-l -p 1 -v 99999", "127.0.0.1 99999", "127.0.0.1 1 2",
    "no-such-host.invalid 80", "-l --ssl-cert x 1", "--proxy-type foo --proxy a 127.0.0.1 1", "-U -l",
    "--proxy a:b 127.0.0.1 1", "-U /nonexistent", "-l -z 5", "-w x 127.0.0.1 1", "-4 -6 127.0.0.1 1",
    "--allow x.invalid/99 -l 0", "--allowfile /nonexistent -l 0", "-z -v 127.0.0.1 1", "-l -e a -c b 45000",
    "-l 192.0.2.9 45000", "--proxy 127.0.0.1:1 127.0.0.1 1", "--ssl 127.0.0.1 1", "-i 0 127.0.0.1 1",
    "-l --proxy 127.0.0.1:1 45000", "-p 99999 127.0.0.1 1", "--version", "-l -s 127.0.0.1 0", "-d x h 1", "-w 0 h 1",
    "-d 1z h 1", "-m x -l 0x", "-o /nonexistent/x 127.0.0.1 1", "-x /nonexistent/x 127.0.0.1 1", "--broker -e x",
    "--proxy-type socks5 --proxy 127.0.0.1:1 127.0.0.1 1", "--proxy-type socks4 --proxy 127.0.0.1:1 127.0.0.1 1",
    "--proxy-dns x --proxy a h 1", "--ssl-cert x 127.0.0.1 1", "-U --ssl /nonexistent", "-6 127.0.0.1 1", "-4 ::1 1",
    "-s x.invalid 127.0.0.1 1", "-p 0 127.0.0.1 1", "-l --allow 300.1.1.1 0", "-l 127.0.0.1 0 0",
    "--broker --chat -z", "-l --test x.invalid 1", "-t -C 127.0.0.1 1", "-zu 127.0.0.1 1",
    "--append-output 127.0.0.1 1",
]  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
def test_words_and_exit_codes(words):
    theirs = run("ncat.real", *words.split())
    assert here("ncat", *words.split()) == (theirs.returncode, theirs.stdout, theirs.stderr)


# what is told otherwise, and docs/comparison.md says why: the words, our exit code, theirs
OTHERWISE = [
    ("-q x h 1", 2, 2),
    ("--send-only --recv-only 127.0.0.1 1", 2, 1),
    ("--ssl-key x --ssl-cert y 127.0.0.1 1", 2, 2),
    ("-k 127.0.0.1 1", 1, 2),
    ("-s 192.0.2.9 127.0.0.1 1", 1, 1),
    ("-vv 127.0.0.1 1", 1, 1),
    ("-l --allowfile {hosts} 0", 2, 2),
]


@pytest.mark.parametrize(("words", "ours", "theirs"), OTHERWISE)
def test_words_that_differ(words, ours, theirs, tmp_path):
    (tmp_path / "hosts").write_text("# a comment\n127.0.0.1/99\n")
    given = words.format(hosts=tmp_path / "hosts").split()
    model, (code, _, said) = run("ncat.real", *given), here("ncat", *given)
    assert (code, model.returncode) == (ours, theirs)
    assert said != model.stderr


@pytest.mark.parametrize("words", ["--sctp h 1", "--lua-exec x h 1", "--vsock 1 1", "--ssl -u h 1"])
def test_what_the_platform_lacks_is_refused(words):
    code, _, said = here("ncat", *words.split())
    assert code == 2
    assert b"support" in said or b"cannot be run here" in said
    assert b"QUITTING." in said


@pytest.mark.parametrize("size", [0, 1, 1_000_003])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("server", "client"), [("ncat", "ncat.real"), ("ncat.real", "ncat"), ("ncat", "ncat")]
)
def test_streams(server, client, tls, size):
    """Both ways at once, TLS or not, each of ours against theirs."""
    there, here = stream(size), stream(size + 1)
    started, port = listening(*(SERVER_TLS if tls else []), name=server)
    words = [*(CLIENT_TLS if tls else []), "--ssl-servername", "localhost"] if tls else []
    with started, Started(client, *words, "127.0.0.1", port) as asking:
        both = [(started, there, asking), (asking, here, started)]
        threads = [threading.Thread(target=one.writes, args=(data,)) for one, data, _ in both]
        got = []
        threads.append(threading.Thread(target=lambda: got.append(asking.reads(len(there)))))
        for thread in threads:
            thread.start()
        assert started.reads(len(here)) == here
        for thread in threads:
            thread.join(PATIENCE)
        assert got == [there]


@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
def test_both_families_at_one_port(family):
    with Started("ncat", "-lv", "--test", 0) as started:
        port = int(started.says(rb"Listening on :::(\d+)\nNCAT TEST: LISTEN\n").group(1))
        started.says(rb"Listening on 0\.0\.0\.0:%d\nNCAT TEST: LISTEN\n" % port)
        assert run("ncat", "--send-only", family, port, input=b"hello").returncode == 0
        assert started.rest() == b"hello"
        assert started.ends() == 0


def test_the_end_of_the_network_ends_a_client_though_its_input_is_open():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with Started("ncat", "127.0.0.1", server.getsockname()[1]) as asking:
            server.accept()[0].close()
            assert asking.ends() == 0
        with Started("ncat", "-k", "127.0.0.1", server.getsockname()[1]) as asking:
            connection = server.accept()[0]
            with connection:
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(PATIENCE)
                asking.writes(b"still here")
                assert connection.recv(100) == b"still here"


@pytest.mark.parametrize("client", NCATS)
def test_a_program_for_each_client(client):
    """--exec: the program sees the end of input, its last word arrives, and the next client is served."""
    started, port = listening("-k", "--sh-exec", "cat; echo $NCAT_PROTO $NCAT_LOCAL_PORT $NCAT_REMOTE_ADDR")
    with started:
        for _ in range(3):
            done = run(client, "127.0.0.1", port, input=b"said\n")
            assert done.stdout == b"said\nTCP %d 127.0.0.1\n" % port


def test_exec_takes_words_and_no_shell():
    started, port = listening("-k", "-e", "/bin/echo 'one word' $HOME")
    with started:
        assert run("ncat", "127.0.0.1", port).stdout == b"one word $HOME\n"


def test_a_client_that_stalls_or_resets_holds_nobody_up():
    started, port = listening("-k", "-e", "/bin/cat", *SERVER_TLS)
    there = ("127.0.0.1", port)
    with started, socket.create_connection(there), socket.create_connection(there) as rude:
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        rude.close()
        done = run("ncat", *CLIENT_TLS, "localhost", port, input=b"hello")
        assert done.stdout == b"hello"


CERTIFICATES = [
    (["--ssl-verify"], "localhost", b"self-signed certificate"),
    ([*CLIENT_TLS, "--ssl-servername", "other.example"], "localhost", b"hostname mismatch"),
]


@pytest.mark.parametrize(("words", "host", "reason"), CERTIFICATES)
def test_a_wrong_certificate_is_refused_with_the_reason(words, host, reason):
    started, port = listening("-k", *SERVER_TLS)
    with started:
        done = run("ncat", *words, host, port)
    assert done.returncode == 1
    assert reason in done.stderr.lower()
    assert done.stderr.count(b"\n") == 1


def test_openssl_talks_to_our_server_and_serves_our_client():
    started, port = listening("-k", "-e", "/bin/cat", *SERVER_TLS, "--ssl-alpn", "echo/1")
    words = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-servername",
        "localhost",
        "-alpn",
        "echo/1",
    ]
    with started:
        asking = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with asking:
            asking.stdin.write(b"hello\n")
            asking.stdin.flush()
            said = b""
            while b"\nhello\n" not in said:
                line = asking.stdout.readline()
                assert line, said
                said += line
            asking.kill()
    assert b"ALPN protocol: echo/1" in said
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-naccept", "1"]
    words += ["-cert", TLS / "localhost.crt", "-key", TLS / "localhost.key", "-rev"]
    serving = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with serving:
        await_listener(port)
        with Started("ncat", *CLIENT_TLS, "localhost", port) as asking:
            asking.writes(b"hello\n")
            assert asking.reads(6) == b"olleh\n"
        serving.kill()


def meet(sender, receiver):
    """Say something until it arrives: who has just connected may not be in the round yet."""
    for _ in range(200):
        sender.writes(b"hello")
        if select.select([receiver.process.stdout], [], [], 0.05)[0]:
            break
    assert receiver.reads(5) == b"hello"


def test_broker_and_chat():
    started, port = listening("--broker")
    with started, Started("ncat", "127.0.0.1", port) as one, Started("ncat.real", "127.0.0.1", port) as two:
        meet(one, two)
        meet(two, one)
    started, port = listening("--chat")
    with started, Started("ncat", "127.0.0.1", port) as one:
        told = b"<announce> 127.0.0.1 is connected as <user1>.\n<announce> already connected: nobody.\n"
        assert one.reads(len(told)) == told
        with Started("ncat", "127.0.0.1", port) as two:
            two.writes(b"hi \x1b[31m\n")
            told = b"<announce> 127.0.0.1 is connected as <user2>.\n<user2> hi [31m\n"
            assert one.reads(len(told)) == told


def test_a_client_that_never_reads_is_dropped_and_the_others_go_on():
    started, port = listening("--broker")
    with started, socket.create_connection(("127.0.0.1", port)), Started("ncat", "127.0.0.1", port) as reader:
        started.says(rb"(?s)(Connection from 127.0.0.1:.*){2}")
        with Started("ncat", "127.0.0.1", port) as sender:
            sent = stream(20 << 20)
            threading.Thread(target=sender.writes, args=(sent,), daemon=True).start()
            assert reader.reads(len(sent), 3 * PATIENCE) == sent
            resident = Path(f"/proc/{started.process.pid}/status").read_text()
            assert int(resident.partition("VmRSS:")[2].split()[0]) < 100_000


def test_who_is_let_in():
    started, port = listening("-k", "-e", "/bin/cat", "--deny", "127.0.0.0/8")
    with started:
        assert run("ncat", "127.0.0.1", port, input=b"x").stdout == b""
        started.says(rb"New connection denied: not allowed")
    started, port = listening("-k", "-e", "/bin/cat", "--allow", "127.0.0.1,10.0.0.0/8")
    with started:
        assert run("ncat", "127.0.0.1", port, input=b"x").stdout == b"x"


def test_the_most_at_a_time():
    started, port = listening("-k", "-m", "1", "-e", "/bin/cat")
    with started, socket.create_connection(("127.0.0.1", port)):
        started.says(rb"Connection from 127.0.0.1:")
        assert run("ncat", "127.0.0.1", port, input=b"x").stdout == b""
        started.says(rb"New connection denied: connection limit reached \(1\)")


def test_dumps(tmp_path):
    for name in NCATS:
        started, port = listening("-o", tmp_path / f"{name}.raw", "-x", tmp_path / f"{name}.hex", name=name)
        with started:
            run("ncat.real", "127.0.0.1", port, input=bytes(range(20, 60)) + b"x")
            started.ends()
    assert (tmp_path / "ncat.raw").read_bytes() == bytes(range(20, 60)) + b"x"
    assert (tmp_path / "ncat.hex").read_text() == (tmp_path / "ncat.real.hex").read_text()


def test_idle():
    started, port = listening("-i", "200ms")
    with started, socket.create_connection(("127.0.0.1", port)):
        assert started.ends() == 2
        assert b"Idle timeout expired (200 ms). QUITTING.\n" in started.process.stderr.read()


@contextlib.contextmanager
def origin():
    """An HTTP server that answers every method with what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length", 0))
            body = f"{self.command} {self.path} ".encode() + self.rfile.read(length)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def curl(*words):
    command = ["curl", "-sS", "-m", "10", "-w", " %{http_code}", *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE * 2).stdout


@pytest.mark.parametrize("login", ["", "--proxy-basic", "--proxy-digest"])
def test_curl_through_our_proxy(login):
    words = ["--proxy-auth", "user:secret"] if login else []
    started, port = listening("-k", "--proxy-type", "http", *words)
    proxy = ["-x", f"http://127.0.0.1:{port}", *([login, "-U", "user:secret"] if login else [])]
    with started, origin() as there:
        url = f"http://127.0.0.1:{there}/a?b"
        assert curl(*proxy, url) == b"GET /a?b  200"
        assert curl(*proxy, "-p", url).endswith(b"GET /a?b  200")
        assert curl(*proxy, "-d", "sent", url) == b"POST /a?b sent 200"
        assert b"200 OK" in curl(*proxy, "-I", url)
        assert curl(*proxy, "-X", "DELETE", url) == b" 405"
        assert curl(*proxy, "http://127.0.0.1:1/") == b" 504"
        if login:
            assert curl(*proxy[:3], "-U", "user:wrong", url) == b" 407"
            assert curl(*proxy[:2], url) == b" 407"


@pytest.mark.parametrize("client", NCATS)
def test_netcats_through_our_proxy_and_ours_through_theirs(client):
    server = "ncat" if client == "ncat.real" else "ncat.real"
    started, port = listening("-k", "--proxy-type", "http", "--proxy-auth", "user:secret", name=server)
    with started, origin() as there:
        words = ["--proxy", f"127.0.0.1:{port}", "--proxy-auth", "user:secret", "127.0.0.1", there]
        if client == "ncat":  # their proxy takes the end of one direction for the end of both
            words.insert(0, "--no-shutdown")
        done = run(client, *words, input=b"GET /x HTTP/1.0\r\n\r\n")
        assert done.stdout.endswith(b"GET /x ")


def test_half_a_request_and_nonsense_are_answered():
    started, port = listening("-k", "--proxy-type", "http")
    with started:
        for sent in (b"nonsense\r\n\r\n", b"GET ftp://x/ HTTP/1.0\r\n\r\n", b"CONNECT x HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.settimeout(PATIENCE)
                client.sendall(sent)
                assert client.recv(100).startswith(b"HTTP/1.0 400 ")


def test_datagrams_of_many_peers():
    with Started("ncat", "-luvk", "127.0.0.1", 0) as started:
        port = int(started.says(LISTENING).group(1))
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            for peer, data in ((one, b"one"), (two, b"two")):
                peer.settimeout(PATIENCE)
                peer.sendto(data, ("127.0.0.1", port))
                assert started.reads(3) == data
            started.writes(b"answer")
            assert (one.recv(100), two.recv(100)) == (b"answer", b"answer")


@pytest.mark.parametrize("name", NCATS)
def test_a_program_for_each_peer_of_datagrams(name):
    """All are served at once; an empty datagram is the end of one's input; no more than -m are let in."""
    words = ["-u", "-k", "-m", "2", "-c", "while read x; do echo $NCAT_PROTO $NCAT_REMOTE_PORT $x; done"]
    started, port = listening(*words, name=name)
    with started, contextlib.ExitStack() as stack:
        one, two, three = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(3))
        for said in (b"first", b"again"):
            for peer in (one, two):
                assert answer(peer, port, said) == b"UDP %d %s\n" % (peer.getsockname()[1], said)
        for _ in range(5):
            three.sendto(b"too many\n", ("127.0.0.1", port))
            time.sleep(0.05)
        started.says(rb"New connection denied: connection limit reached \(2\)")
        one.sendto(b"", ("127.0.0.1", port))
        two.sendto(b"", ("127.0.0.1", port))
        three.settimeout(0.2)
        for _ in range(100):  # until the first two are gone
            three.sendto(b"now\n", ("127.0.0.1", port))
            with contextlib.suppress(TimeoutError):
                assert three.recv(100).endswith(b" now\n")
                break
        else:
            pytest.fail("the third is not let in")
        three.sendto(b"", ("127.0.0.1", port))


def answer(peer, port, said):
    """Return what comes back for a line; it goes out again when lost: Ncat has no socket just after a new peer."""
    peer.settimeout(1.0)
    for _ in range(50):
        peer.sendto(said + b"\n", ("127.0.0.1", port))
        with contextlib.suppress(TimeoutError):
            while not (back := peer.recv(100)).endswith(b" %s\n" % said):
                pass
            return back
    return pytest.fail(f"no answer to {said!r}")
