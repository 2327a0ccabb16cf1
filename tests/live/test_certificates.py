"""A certificate that is wrong in any one way is refused, and the reason said in one line; curl is asked as well."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
from typing import NamedTuple

import pytest
from tests.live.certificates import CLIENT, DAY, NOW, SERVER, Certified, Serving, by_sha1, short_key
from tests.live.transferring import Receiving, made
from tests.netcats import run
from tests.support import require

import portside
from portside.cli import main
from portside.errors import BadRequest, NotSupported, PortsideError
from portside.system.tls import Tls
from portside.use.transfer.sending import send
from portside.wire.pins import parse_pin, pin_of

BEGAN = 60  # seconds for a program to start and end


class Wrong(NamedTuple):
    """What a server shows, by which authorities it is judged, for which name, and why it must be refused."""

    shown: str
    ca: str
    reason: str
    host: str = "localhost"


class Makers:
    """One maker for each way to be wrong; `self.root` is the authority that is trusted."""

    def __init__(self, directory):
        self.directory = directory
        self.root = Certified("root", authority=True, names=())
        self.ca = self.root.trusted(directory)

    def certified(self, reason, *chain, host="localhost", signer=None, name="localhost", **how):
        certified = Certified(name, signer or self.root, **how)
        return Wrong(certified.file(self.directory, *chain), self.ca, reason, host)

    def expired(self):
        return self.certified("certificate has expired", begins=NOW - 9 * DAY, ends=NOW - DAY)

    def not_yet_valid(self):
        return self.certified("certificate is not yet valid", begins=NOW + DAY, ends=NOW + 9 * DAY)

    def of_another_name(self):
        reason = "hostname mismatch, certificate is not valid for 'localhost'"
        return self.certified(reason, names=("other.example", "*.localhost", "localhost.example"))

    def of_a_common_name_alone(self):
        return self.certified("hostname mismatch, certificate is not valid for 'localhost'", names=())

    def of_another_address(self):
        reason = "ip address mismatch, certificate is not valid for '127.0.0.1'"
        return self.certified(reason, host="127.0.0.1", names=("127.0.0.2", "localhost"))

    def of_an_address_as_a_name(self):
        """An address in the common name, and none among the alternative names."""
        return self.certified("ip address mismatch", host="127.0.0.1", name="127.0.0.1", names=("localhost",))

    def self_signed(self):
        return Wrong(Certified("localhost").file(self.directory), self.ca, "self-signed certificate")

    def of_an_unknown_authority(self):
        stranger = Certified("stranger", authority=True, names=())
        return self.certified("unable to get local issuer certificate", signer=stranger)

    def of_an_unknown_authority_that_comes_with_it(self):
        stranger = Certified("stranger", authority=True, names=())
        return self.certified("self-signed certificate in certificate chain", stranger, signer=stranger)

    def of_an_impostor(self):
        """Signed by another key under the name of the authority."""
        impostor = Certified("root", authority=True, names=())
        return self.certified("certificate signature failure", signer=impostor)

    def for_clients_alone(self):
        return self.certified("certificate purpose", purpose=CLIENT)

    def with_a_short_key(self):
        return self.certified("ee certificate key too weak", key=short_key())

    def signed_with_sha1(self):
        return Wrong(by_sha1(self.root, self.directory), self.ca, "signature digest algorithm too weak")

    def of_no_authority(self):
        """Signed by a certificate that may not sign."""
        middle = Certified("middle", self.root, names=())
        return self.certified("invalid ca certificate", middle, signer=middle)

    def of_a_path_too_long(self):
        first = Certified("first", self.root, authority=True, path_length=0, names=())
        second = Certified("second", first, authority=True, names=())
        return self.certified("path length constraint exceeded", second, first, signer=second)

    def of_an_expired_authority(self):
        middle = Certified(
            "middle", self.root, authority=True, names=(), begins=NOW - 9 * DAY, ends=NOW - DAY
        )
        return self.certified("certificate has expired", middle, signer=middle)

    def without_what_is_between(self):
        middle = Certified("middle", self.root, authority=True, names=())
        return self.certified("unable to get local issuer certificate", signer=middle)

    def with_an_unknown_critical_extension(self):
        return self.certified("unhandled critical extension", unknown=True)

    def revoked(self):
        certified = Certified("localhost", self.root)
        ca = self.root.trusted(self.directory, self.root.revoking(certified))
        return Wrong(certified.file(self.directory), ca, "certificate revoked")


WAYS = sorted(name for name in vars(Makers) if not name.startswith("_") and name != "certified")
NCAT_TAKES = "of_a_common_name_alone"  # as its model does
CURL_TAKES = {"of_a_common_name_alone", "revoked"}  # it looks for lists of revocation in --crlfile alone


@pytest.fixture(scope="module")
def makers(tmp_path_factory):
    return Makers(tmp_path_factory.mktemp("certificates"))


def refused_by_library(wrong, port):
    with pytest.raises(NotSupported) as caught:
        portside.connect(f"{wrong.host}:{port}", tls=Tls(ca=wrong.ca))
    return str(caught.value)


def refused_by_command(capsys, code, *words):
    assert main(list(words)) == code
    return capsys.readouterr()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_wrong_is_refused_with_the_reason(makers, way, tmp_path, capsys):
    wrong = getattr(makers, way)()
    file = made(tmp_path / "file", 10)
    with Serving(wrong.shown) as port:
        said = refused_by_library(wrong, port)
        assert said.startswith(f"connect to '{wrong.host}:{port}': the certificate is not good: ")
        assert wrong.reason in said
        assert "\n" not in said
        told = refused_by_command(capsys, 2, "send", "--ca", wrong.ca, str(file), f"{wrong.host}:{port}")
        assert (told.out, told.err) == ("", f"portside: {said}\n")
        told = refused_by_command(
            capsys, 1, "check", "--json", "-w", "60", "--ca", wrong.ca, f"tls://{wrong.host}:{port}"
        )
        (item,) = json.loads(told.out)["items"]
        assert (item["open"], item["reason"]) == (False, "certificate")
        assert wrong.reason in item["detail"].lower()


@pytest.mark.parametrize("way", WAYS)
def test_ncat_and_curl_refuse_it_too(makers, way):
    require(shutil.which("curl"), "curl is not installed")
    wrong = getattr(makers, way)()
    with Serving(wrong.shown) as port:
        done = run("ncat", "--ssl-verify", "--ssl-trustfile", wrong.ca, wrong.host, port, timeout=BEGAN)
        if way == NCAT_TAKES:
            assert (done.returncode, done.stdout) == (0, b"hello\n")
        else:
            assert (done.returncode, done.stdout) == (1, b"")
            assert wrong.reason.encode() in done.stderr.lower()
            assert done.stderr.count(b"\n") == 1
        if way not in CURL_TAKES:
            curl = subprocess.run(
                ["curl", "-sS", "--cacert", wrong.ca, f"https://{wrong.host}:{port}/"],
                capture_output=True, timeout=BEGAN,
            )  # fmt: skip
            assert curl.returncode in (35, 60), curl.stderr


def test_what_is_right_is_taken(makers, tmp_path):
    """By its authority, by what is between, by itself, by its key alone; for a name with a star, for an address."""
    middle = Certified("middle", makers.root, authority=True, names=())
    alone = Certified("localhost")
    good = [
        (Certified("x", makers.root), (), makers.ca, "localhost"),
        (Certified("x", makers.root, names=("127.0.0.1",)), (), makers.ca, "127.0.0.1"),
        (Certified("x", middle), (middle,), makers.ca, "localhost"),
        (Certified("x", middle), (), middle.trusted(tmp_path), "localhost"),
        (alone, (), alone.trusted(tmp_path), "localhost"),
        (Certified("x", makers.root, purpose=SERVER), (), makers.ca, "localhost"),
        (
            Certified("x", makers.root),
            (),
            makers.root.trusted(tmp_path, makers.root.revoking(alone)),
            "localhost",
        ),
    ]
    for certified, chain, ca, host in good:
        with Serving(certified.file(tmp_path, *chain)) as port:
            with portside.connect(f"{host}:{port}", tls=Tls(ca=ca)) as connection:
                assert connection.recv(10) == b"hello\n"
            (verdict,) = portside.check(f"tls://127.0.0.1:{port}", timeout=60, pin=pin(certified))
            assert verdict.open
    with Serving(Certified("x", makers.root, names=("*.example.org",)).file(tmp_path)) as port:
        for name, taken in (("a.example.org", True), ("example.org", False), ("a.b.example.org", False)):
            refused = (
                contextlib.nullcontext() if taken else pytest.raises(NotSupported, match="hostname mismatch")
            )
            with refused:
                portside.connect(f"127.0.0.1:{port}", tls=Tls(ca=makers.ca, name=name)).close()


def pin(certified):
    return pin_of(ssl.PEM_cert_to_DER_cert(certified.pem.decode()))


def test_a_pin_is_of_the_key(makers, tmp_path, capsys):
    """It takes any certificate of that key, and no other; openssl(1) finds the same digits."""
    first, other = Certified("x"), Certified("y")
    renewed = Certified("z", makers.root, key=first.key, names=(), ends=NOW - DAY, begins=NOW - 9 * DAY)
    key = subprocess.run(
        "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum",
        shell=True, input=first.pem, capture_output=True, timeout=BEGAN,
    )  # fmt: skip
    assert pin(first) == pin(renewed) == "sha256:" + key.stdout.split()[0].decode()
    for certified in (first, renewed):
        with Serving(certified.file(tmp_path)) as port:
            with portside.connect(f"127.0.0.1:{port}", tls=Tls(pin=pin(first).upper())) as connection:
                assert connection.recv(10) == b"hello\n"
            said = f"its key is not the pinned one but {pin(first)}"
            with pytest.raises(NotSupported, match=said):
                portside.connect(f"127.0.0.1:{port}", tls=Tls(pin=pin(other)))
            with pytest.raises(NotSupported, match="the certificate is not good"):  # both are asked for
                portside.connect(f"localhost:{port}", tls=Tls(pin=pin(first), ca=makers.ca))
            file = str(made(tmp_path / "file", 10))
            told = refused_by_command(capsys, 2, "send", "--pin", pin(other), file, f"127.0.0.1:{port}")
            assert told.err == f"portside: connect to '127.0.0.1:{port}': {said}\n"
            told = refused_by_command(
                capsys, 1, "check", "--json", "-w", "60", "--pin", pin(other), f"tls://127.0.0.1:{port}"
            )
            assert json.loads(told.out)["items"][0]["detail"] == said


def test_curls_form_of_a_pin():
    text = "sha256//" + "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert parse_pin(text) == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for wrong in ("", "sha256:", "sha256:00", "sha1:" + "0" * 40, "sha256//AAAA", "sha256:" + "g" * 64):
        with pytest.raises(BadRequest, match="sha256: and 64"):
            parse_pin(wrong)


def test_a_version_that_is_too_old(makers, tmp_path):
    with (
        Serving(Certified("x", makers.root).file(tmp_path), newest=ssl.TLSVersion.TLSv1_1) as port,
        pytest.raises(NotSupported, match=r"too old|no version of TLS that we do"),
    ):
        portside.connect(f"localhost:{port}", tls=Tls(ca=makers.ca))


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"SSH-2.0-x\r\n", "no TLS is spoken there"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "no TLS is spoken there"),
        (b"portside receive 1\r\n", "no TLS is spoken there"),
        (b"", "the peer hung up|connection reset by peer"),
    ],
)
def test_what_speaks_no_tls(greeting, reason, tmp_path):
    def greet():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(60)
                connection.recv(1 << 16)
                connection.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet)
        thread.start()
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(NotSupported, match=reason):
            portside.connect(target, tls=True)
        with pytest.raises(NotSupported, match=reason):
            send(str(made(tmp_path / "file", 10)), target, tls=True)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def test_silence_is_not_waited_for_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(portside.TimedOut, match=r"no TLS in 0\.3 s"):
            portside.connect(target, tls=True, timeout=0.3)


def test_files_that_are_none(tmp_path, makers):
    (tmp_path / "text").write_text("hello\n")
    text, good = str(tmp_path / "text"), Certified("x").file(tmp_path)
    other = tmp_path / "other.key"
    other.write_bytes(Certified("y").key_pem)
    wrong = [
        (Tls(ca=text), "it holds no certificate"),
        (Tls(ca=str(tmp_path / "none")), "no such file"),
        (Tls(certificate=text), "it holds no certificate"),
        (Tls(certificate=makers.ca), "it holds no certificate with its key"),
        (Tls(certificate=good, key=str(other)), "the key is not the certificate's"),
        (Tls(pin="sha256:1234"), "it is none"),
    ]
    with Serving(good) as port:
        for tls, reason in wrong:
            with pytest.raises(BadRequest, match=reason):
                portside.connect(f"localhost:{port}", tls=tls)
    for tls, reason in wrong[:5]:
        with pytest.raises(BadRequest, match=reason):
            portside.receive("127.0.0.1:0", str(tmp_path), tls=tls)


def test_a_receiver_takes_only_the_certified(places, makers, tmp_path):
    """Whoever has no good certificate is told so, and the receiver goes on waiting for one who has."""
    here, there = places
    file = str(made(here / "file", 1000))
    server, stranger = Certified("x", makers.root), Certified("s", authority=True, names=())
    receiving = Receiving(there, tls=Tls(certificate=server.file(tmp_path), ca=makers.ca))
    told = {
        "certificate required": "",
        "unknown ca": Certified("x", stranger).file(tmp_path),
        "certificate expired": Certified("x", makers.root, begins=NOW - 9 * DAY, ends=NOW - DAY).file(
            tmp_path
        ),
        "unsupported certificate": Certified("x", makers.root, purpose=SERVER).file(tmp_path),
    }
    for reason, certificate in told.items():
        with pytest.raises(PortsideError) as caught:
            send(file, receiving.target, tls=Tls(pin=pin(server), certificate=certificate))
        # the alert may be lost to a reset: the receiver closes while the sender says more
        assert f": {reason}" in str(caught.value) or "reset" in str(caught.value), reason
    good = Certified("x", makers.root, purpose=CLIENT).file(tmp_path)
    sent = send(file, receiving.target, tls=Tls(pin=pin(server), certificate=good))
    receiving.end()
    assert sent.confirmed
    assert [reason.partition(": ")[2] or reason for reason in receiving.refused] == [
        "peer did not return a certificate",
        "unable to get local issuer certificate",
        "certificate has expired",
        "unsuitable certificate purpose",
    ]
