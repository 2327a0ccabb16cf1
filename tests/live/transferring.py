"""What the tests of transfers share: a receiver in a thread, two directories, files of noise."""

from __future__ import annotations

import random
import sys
import threading

from tests.live.forwarding import wait_for

from portside.errors import PortsideError
from portside.system.tls import Tls
from portside.use.transfer.receiving import receive

PROTECTIONS = {"plain": {}, "code": {"code": "k3fq-9wmz"}, "tls": {"tls": True}}
PORTSIDE = [sys.executable, "-m", "portside"]


class Receiving(threading.Thread):
    """`receive` in a thread; its result, or the error that it ended with."""

    def __init__(self, path, **options):
        super().__init__(daemon=True)
        self.path = path
        self.options = options
        self.places = []
        self.pins = []
        self.refused = []
        self.result = self.error = None
        self.start()
        wait_for(lambda: self.error or (self.places and (self.pins or not options.get("tls"))), 60)

    def run(self):
        try:
            self.result = receive(
                "127.0.0.1:0",
                str(self.path),
                timeout=60,
                on_listening=self.places.extend,
                on_pin=self.pins.append,
                on_refused=lambda address, reason: self.refused.append(reason),
                **self.options,
            )
        except PortsideError as error:
            self.error = error

    @property
    def target(self):
        return self.places[0]

    @property
    def protection(self):
        """What a sender has to ask for: the receiver's code, or the pin of its certificate."""
        if self.pins:
            return {"tls": Tls(pin=self.pins[0])}
        return {"code": self.options["code"]} if "code" in self.options else {}

    def end(self):
        self.join(60)
        assert not self.is_alive()
        return self.result


def made(path, size, seed=1):
    path.write_bytes(random.Random(seed).randbytes(size))
    return path
