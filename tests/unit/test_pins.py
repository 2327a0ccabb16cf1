"""Pins of public keys, by the certificates that come with the tests."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from portside.errors import BadReply
from portside.wire import asn1
from portside.wire.pins import pin_of

LOCALHOST = Path(__file__).parents[1] / "data" / "tls" / "localhost.crt"
# openssl x509 -in localhost.crt -pubkey -noout | openssl pkey -pubin -outform der | sha256sum
PIN = "sha256:75c9421cfda06ec3dabc6ba6d0a322c2e59ebdbc56a4aeff1e81f56bedb2bda0"


def test_of_a_certificate():
    der = ssl.PEM_cert_to_DER_cert(LOCALHOST.read_text())
    assert pin_of(der) == PIN
    for cut in range(200):
        with pytest.raises(BadReply):
            pin_of(der[:cut])


def test_of_a_certificate_of_the_first_version():
    """There the version is left out (RFC 5280, 4.1.2.1)."""
    der = ssl.PEM_cert_to_DER_cert(LOCALHOST.read_text())
    body = list(asn1.elements(asn1.inside(der, asn1.SEQUENCE, asn1.SEQUENCE)))
    first = asn1.element(asn1.SEQUENCE, *(asn1.element(*each) for each in body[1:7]))
    assert pin_of(asn1.element(asn1.SEQUENCE, first)) == PIN
