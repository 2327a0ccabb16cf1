"""TLS as it is asked for: contexts of Python's ssl, what a peer has to prove, and why it failed in a few words.

A peer is verified unless one says otherwise: by authorities and its name, or by the pin of its public key, or both.
The name must be among the certificate's alternative names (RFC 9525, 6.3: the common name counts no more).  What a
file of authorities holds is trusted as it is, also the server's own certificate; a revocation list in it is obeyed.
A certificate for one run is made by openssl(1): Python's ssl makes none.
"""

from __future__ import annotations

import errno
import os
import ssl

from portside.errors import BadRequest, NotSupported
from portside.record import Record
from portside.wire.pins import parse_pin, pin_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Tls(Record):
    """How TLS is spoken, and what the peer has to prove.

    `ca`: a PEM file or a directory of authorities (the host's own without one; a server asks for certificates where
    there is one).  `pin`: `sha256:` and the digits of the peer's public key, instead of authorities or beside them.
    `certificate` and `key`: PEM files of our own.  `name`: what the certificate has to be for, if not the host.
    `verify` False takes any peer, but for the pin.  `ciphers` is OpenSSL's list for TLS 1.2, `alpn` protocol names.
    """

    verify: bool = True
    ca: str = ""
    pin: str = ""
    certificate: str = ""
    key: str = ""
    name: str = ""
    ciphers: str = ""
    alpn: tuple[str, ...] = ()

    def require_pin(self, session: ssl.SSLSocket | ssl.SSLObject) -> None:
        """Raise NotSupported where the peer has another key than the one that was pinned."""
        if not self.pin:
            return
        found = pin_of(session.getpeercert(True) or b"")
        if found != parse_pin(self.pin):
            raise NotSupported("verify", "the peer", f"its key is not the pinned one but {found}")


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return a client's context; raises BadRequest for files, lists and pins that are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.pin:
        parse_pin(tls.pin)
    by_authority = tls.verify and bool(tls.ca or not tls.pin)
    context.check_hostname = by_authority
    context.verify_mode = ssl.CERT_REQUIRED if by_authority else ssl.CERT_NONE
    context.hostname_checks_common_name = False
    if tls.ca:
        _trust(context, tls.ca)
    elif by_authority:
        context.load_default_certs()
    return _both(context, tls)


def server_context(tls: Tls) -> tuple[ssl.SSLContext, str]:
    """Return a server's context and the pin of its key; without a certificate one is made for this run.

    With `ca` only clients that it has certified are taken.  Raises BadRequest, NotSupported.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls.ca and tls.verify:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, tls.ca)
    _both(context, tls)
    return context, _pin_of_file(tls.certificate) if tls.certificate else _temporary(context)


def _trust(context: ssl.SSLContext, ca: str) -> None:
    directory = os.path.isdir(ca)
    _load(ca, lambda: context.load_verify_locations(None if directory else ca, ca if directory else None))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if context.cert_store_stats()["crl"]:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _both(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    if tls.certificate:
        _load(tls.certificate, lambda: context.load_cert_chain(tls.certificate, tls.key or None))
    if tls.ciphers:
        _load(tls.ciphers, lambda: context.set_ciphers(tls.ciphers))
    if tls.alpn:
        context.set_alpn_protocols(list(tls.alpn))
    return context


def _load(what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except (OSError, ValueError) as error:  # SSLError is an OSError
        locked = getattr(error, "errno", None) == errno.EINVAL  # OpenSSL has asked for the pass phrase
        reason = "its key is locked, and no pass phrase was given" if locked else why(error)
        raise BadRequest("use", f"'{what}'", reason) from error


def _temporary(context: ssl.SSLContext) -> str:
    import tempfile

    from portside.system.openssl import make_certificate

    with tempfile.TemporaryDirectory(prefix="portside-") as directory:
        certificate, key = (os.path.join(directory, name) for name in ("certificate.pem", "key.pem"))
        make_certificate(certificate, key, "localhost")
        context.load_cert_chain(certificate, key)
        return _pin_of_file(certificate)


def _pin_of_file(path: str) -> str:
    """Return the pin of a PEM file's first certificate, which OpenSSL has read already."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read().partition(begin)[2].partition(end)[0]
    return pin_of(ssl.PEM_cert_to_DER_cert(begin + text + end))


# what OpenSSL's words come to, where they do not say it
_MEANINGS = {
    "wrong version number": "no TLS is spoken there: wrong version number",
    "packet length too long": "no TLS is spoken there: packet length too long",
    "record layer failure": "no TLS is spoken there: record layer failure",
    "http request": "no TLS is spoken there: http request",
    "unsupported protocol": "the peer's version of TLS is too old: unsupported protocol",
    "tlsv1 alert protocol version": "the peer takes no version of TLS that we do: protocol version",
    "tlsv13 alert certificate required": "the peer wants a certificate of ours: certificate required",
    "pem lib": "it holds no certificate with its key, in PEM",
    "no start line": "it holds no certificate in PEM",
    "no certificate or crl found": "it holds no certificate in PEM",
    "bad decrypt": "the pass phrase is not its key's",
    "key values mismatch": "the key is not the certificate's",
}


def why(error: Exception) -> str:
    """Return the reason of a failure in a few words, without OpenSSL's file names and numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not good: {error.verify_message.rstrip('.')}".lower()
    if isinstance(error, ssl.SSLEOFError):
        return "the peer hung up"
    if isinstance(error, ssl.SSLError):
        said = getattr(error, "reason", None) or str(error).rpartition("] ")[2].partition(" (_ssl")[0]
        said = said.lower().replace("_", " ").rstrip(".")
        if said in _MEANINGS:
            return _MEANINGS[said]
        alert = said.partition(" alert ")[2]
        return f"the peer says: {alert}" if alert else said
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error).lower()
