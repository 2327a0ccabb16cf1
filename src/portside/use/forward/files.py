"""A configuration file of either kind: TOML if it is called .toml or has a [[forward]] table, else rinetd's."""

from __future__ import annotations

import os

from portside.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portside.use.forward.rules import Configuration


def read_configuration(path: str) -> Configuration:
    """Return what a file says.  Raises BadRequest, also for one that cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise BadRequest("read configuration", f"'{path}'", reason, errno=error.errno) from error
    except UnicodeDecodeError as error:
        raise BadRequest("read configuration", f"'{path}'", "it is no UTF-8 text") from error
    if path.endswith(".toml") or "[[forward]]" in text:
        from portside.use.forward.toml_file import parse_toml

        return parse_toml(text, path)
    from portside.use.forward.rinetd_file import parse_rinetd

    return parse_rinetd(text, path)
