"""A relay's end that speaks TLS: plaintext on our side, half-close kept.

The records are made and read in memory (ssl.MemoryBIO), so that one epoll loop serves every kind of end, and so that
close_notify can be sent while the other direction goes on, which ssl.SSLSocket does not offer.  Shake hands
(`handshake`) before the end is given to a relay.  Reference: RFC 8446 section 6.1.
"""

from __future__ import annotations

import ssl

from portside.use.relay.driver import READ, WRITE
from portside.use.relay.ends import SocketEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

_RECORDS = 1 << 17  # ciphertext is read, and plaintext taken, in pieces of this size


class TlsEnd(SocketEnd):
    """One end over TLS: `session` is the ssl.SSLObject; `truncated`: the peer hung up without close_notify."""

    plain = False

    def __init__(
        self,
        connection: socket,
        context: ssl.SSLContext,
        *,
        server: bool = False,
        hostname: str | None = None,
    ) -> None:
        super().__init__(connection)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=hostname
        )
        self.truncated = False
        self._unsent = memoryview(b"")
        self._shut = False

    @property
    def unsent(self) -> bool:
        """Whether ciphertext is still here."""
        return bool(self._unsent) or bool(self._outgoing.pending)

    @property
    def buffered(self) -> bool:
        """Whether something has been received that epoll will not tell of."""
        return bool(self._incoming.pending) or self.session.pending() > 0

    def handshake(self) -> int:
        """Go on with the handshake; return what to wait for (READ, WRITE), 0 when it is done.

        Raises ssl.SSLError (ssl.SSLCertVerificationError says why in `verify_message`), OSError.
        """
        while True:
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                if not self._sent():
                    return WRITE
                if not self._received():
                    return READ
            except ssl.SSLError:
                self._sent()  # the alert
                raise
            else:
                return 0 if self._sent() else WRITE

    def read_into(self, buffer: memoryview) -> int:
        """Read plaintext; 0 at close_notify or the connection's end."""
        while True:
            try:
                size = self.session.read(len(buffer), buffer)
            except ssl.SSLWantReadError:
                self._sent()
                if not self._received():
                    raise BlockingIOError from None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as end:
                self.truncated = isinstance(end, ssl.SSLEOFError)
                return 0
            else:
                return int(size)

    def write(self, data: memoryview) -> int:
        """Take plaintext while no ciphertext waits."""
        if not self._sent():
            raise BlockingIOError
        taken = self.session.write(data[:_RECORDS])
        self._sent()
        return taken

    def flush(self) -> None:
        """Send the ciphertext that is left; raises BlockingIOError."""
        if not self._sent():
            raise BlockingIOError

    def shut(self) -> None:
        """Send close_notify, then FIN."""
        try:
            self.session.unwrap()
        except ssl.SSLError:  # the peer's own close_notify has not come yet: reading goes on
            pass
        self._shut = True
        try:
            self._sent()
        except OSError:  # there is nobody to tell
            pass

    def _sent(self) -> bool:
        """Send ciphertext; return whether all of it went."""
        while self.unsent:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            try:
                self._unsent = self._unsent[self.connection.send(self._unsent) :]
            except BlockingIOError:
                return False
        if self._shut:
            self._shut = False
            super().shut()
        return True

    def _received(self) -> bool:
        """Receive ciphertext; return whether there was any, or its end."""
        try:
            data = self.connection.recv(_RECORDS)
        except BlockingIOError:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True
