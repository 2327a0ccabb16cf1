"""The ncat face: Nmap's Ncat, its options and words those of 7.93, its end-of-file rule the published one.

`options` reads what was typed, `client` connects, `server` listens, `words` tells.  What is otherwise than in 7.93:
the end of the network ends a client (as since 7.96; -k restores), port 0 is told as the real one (7.991).
"""

from __future__ import annotations

from portside.errors import PortsideError
from portside.faces.ncat.options import HELP as HELP
from portside.faces.ncat.options import parse
from portside.faces.ncat.words import Quit, reason


def main(words: list[str]) -> int:
    """Run ncat with these words and return its exit code: 0, 1 for the network, 2 for what was typed and the rest."""
    try:
        options = parse(words)
        if options.listen:
            from portside.faces.ncat.server import run
        else:
            from portside.faces.ncat.client import run
        return run(options)
    except Quit as over:
        return over.tell()
    except PortsideError as error:
        from portside.faces.ncat.common import full
        from portside.use.netcat.dump import Unkept

        if isinstance(error, Unkept):
            return full(error).tell()
        return Quit(f"{reason(error)}.", code=1).tell()
