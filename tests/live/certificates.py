"""Certificates that are wrong in one way each, and servers that show them."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import subprocess
import threading
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
PEM = serialization.Encoding.PEM


class Certified:
    """A certificate with its key; `signer` None signs itself."""

    def __init__(
        self,
        name,
        signer=None,
        *,
        authority=False,
        path_length=None,
        names=("localhost",),
        begins=NOW - DAY,
        ends=NOW + DAY,
        purpose=None,
        key=None,
        unknown=False,
    ):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.signer = signer
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.certificate.subject if signer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(authority, path_length), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(general, names))), False)
        if purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        if unknown:
            odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0")
            builder = builder.add_extension(odd, critical=True)
        self.certificate = builder.sign(signer.key if signer else self.key, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(PEM)

    @property
    def key_pem(self):
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def file(self, directory, *chain):
        """Write certificate, what certifies it, and key to one file; return its path."""
        path = directory / f"{self.certificate.serial_number}.pem"
        path.write_bytes(self.pem + b"".join(each.pem for each in chain) + self.key_pem)
        return str(path)

    def trusted(self, directory, *more):
        """Write the certificate alone, as a file of authorities; return its path."""
        path = directory / f"{self.certificate.serial_number}-{len(more)}.ca"
        path.write_bytes(self.pem + b"".join(more))
        return str(path)

    def revoking(self, *others):
        """Return a revocation list in PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(NOW - DAY)
            .next_update(NOW + DAY)
        )
        for other in others:
            entry = x509.RevokedCertificateBuilder().serial_number(other.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(NOW - DAY).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(PEM)


def general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def short_key():
    return rsa.generate_private_key(65537, 1024)


def by_sha1(signer, directory):
    """Return the path of a certificate and key for localhost, signed with SHA-1 by `signer` and openssl(1)."""
    key = Certified("unused").key_pem
    (directory / "sha1.key").write_bytes(key)
    (directory / "sha1.ext").write_text("subjectAltName=DNS:localhost\n")
    ca = signer.file(directory)
    made = subprocess.run(
        ["openssl", "req", "-new", "-key", directory / "sha1.key", "-subj", "/CN=localhost"],
        check=True, capture_output=True, timeout=60,
    ).stdout  # fmt: skip
    done = subprocess.run(
        ["openssl", "x509", "-req", "-sha1", "-CA", ca, "-CAkey", ca, "-set_serial", "7", "-days", "2",
         "-extfile", directory / "sha1.ext"],
        input=made, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (directory / "sha1.pem").write_bytes(done.stdout + key)
    return str(directory / "sha1.pem")


class Serving:
    """A server on 127.0.0.1 that shakes hands with whoever comes and says hello: `with Serving(path) as port`."""

    def __init__(self, path, *, newest=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.context.load_cert_chain(path)
        if newest is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
                self.context.maximum_version = newest
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self.serve)]

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.greet, args=(connection,)))
            self.threads[-1].start()

    def greet(self, connection):
        connection.settimeout(60)
        try:
            with connection, self.context.wrap_socket(connection, server_side=True) as made:
                made.sendall(b"hello\n")
                made.unwrap()
        except OSError:
            pass

    def __enter__(self):
        self.threads[0].start()
        return self.listener.getsockname()[1]

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(60)
