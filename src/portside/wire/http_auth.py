"""HTTP authentication, Basic and Digest, for both sides of a proxy.

A server's nonce is the time signed with a secret of its own, so that it keeps no list.  Reference: RFC 7617 (Basic),
RFC 2617 and RFC 7616 (Digest, algorithm MD5 with qop auth, which is what curl and Ncat speak).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

REALM = "Portside"


def basic(user: str, password: str) -> str:
    """Return a Basic credential."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Read `Scheme name=value, name="value"`: the scheme in lower case, and the pairs."""
    scheme, _, rest = text.strip().partition(" ")
    found: dict[str, str] = {}
    while rest:
        rest = rest.lstrip(", \t")
        name, equals, rest = rest.partition("=")
        if not equals:
            break
        if rest.startswith('"'):
            value, rest = _quoted(rest[1:])
        else:
            value, _, rest = rest.partition(",")
            value = value.strip()
        found[name.strip().lower()] = value
    return scheme.lower(), found


def _quoted(text: str) -> tuple[str, str]:
    value, place = [], 0
    while place < len(text) and text[place] != '"':
        place += text[place] == "\\" and place + 1 < len(text)
        value.append(text[place])
        place += 1
    return "".join(value), text[place + 1 :]


def digest(
    user: str, password: str, challenge: dict[str, str], method: str, uri: str, cnonce: str, count: int = 1
) -> str:
    """Return the Digest credential for a challenge; empty for an algorithm that is not MD5."""
    if challenge.get("algorithm", "MD5").upper() != "MD5":
        return ""
    realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
    with_qop = "auth" in [each.strip() for each in challenge.get("qop", "").split(",")]
    number = f"{count:08x}"
    response = _response(
        _first(user, realm, password), nonce, method, uri, *((number, cnonce) if with_qop else ())
    )
    pairs = [("username", user), ("realm", realm), ("nonce", nonce), ("uri", uri), ("response", response)]
    if "opaque" in challenge:
        pairs.append(("opaque", challenge["opaque"]))
    text = ", ".join(f'{name}="{value}"' for name, value in pairs)
    return f"Digest {text}" + (f', qop=auth, nc={number}, cnonce="{cnonce}"' if with_qop else "")


def _hash(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _first(user: str, realm: str, password: str) -> str:
    return _hash(f"{user}:{realm}:{password}")


def _response(first: str, nonce: str, method: str, uri: str, number: str = "", cnonce: str = "") -> str:
    middle = f"{nonce}:{number}:{cnonce}:auth" if number else nonce
    return _hash(f"{first}:{middle}:{_hash(f'{method}:{uri}')}")


class Guard:
    """Checks what clients send, Basic or Digest, against one user and password.

    `secret` signs the nonces; one is good for `lasting` seconds.  Comparisons take the same time whatever differs.
    """

    def __init__(self, user: str, password: str, secret: bytes, lasting: float = 300.0) -> None:
        self._user = user
        self._password = password
        self._secret = secret
        self._lasting = lasting

    def challenges(self, now: float) -> tuple[tuple[str, str], ...]:
        """Return the fields that ask for a login."""
        nonce = self._nonce(int(now))
        return (
            ("Proxy-Authenticate", f'Basic realm="{REALM}"'),
            ("Proxy-Authenticate", f'Digest realm="{REALM}", nonce="{nonce}", qop="auth"'),
        )

    def admits(self, credential: str, method: str, uris: tuple[str, ...], now: float) -> bool:
        """Whether the value of Proxy-Authorization is the user's; `uris` are the forms a client may have signed."""
        scheme, pairs = parse(credential)
        if scheme == "basic":
            return self._basic(credential.strip().partition(" ")[2])
        return scheme == "digest" and self._digest(pairs, method, uris, now)

    def _basic(self, text: str) -> bool:
        try:
            given = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, f"{self._user}:{self._password}".encode())

    def _digest(self, pairs: dict[str, str], method: str, uris: tuple[str, ...], now: float) -> bool:
        nonce = pairs.get("nonce", "")
        told = nonce.partition("-")[0]
        if not (told.isascii() and told.isdecimal() and len(told) < 12):
            return False
        if not hmac.compare_digest(nonce.encode(), self._nonce(int(told)).encode()):
            return False
        uri = pairs.get("uri", "")
        if not 0 <= now - int(told) <= self._lasting or uri not in uris:
            return False
        extra = (pairs.get("nc", ""), pairs.get("cnonce", "")) if pairs.get("qop") == "auth" else ()
        wanted = _response(_first(self._user, REALM, self._password), nonce, method, uri, *extra)
        right = hmac.compare_digest(wanted.encode(), pairs.get("response", "").encode("utf-8", "replace"))
        return right and pairs.get("username") == self._user and pairs.get("realm") == REALM

    def _nonce(self, when: int) -> str:
        return f"{when}-{hmac.new(self._secret, str(when).encode(), 'sha256').hexdigest()[:32]}"
