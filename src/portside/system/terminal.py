"""The controlling terminal: ask for a secret there, without showing it (tty(4), termios(3))."""

from __future__ import annotations

import os
import termios


def ask_secret(prompt: str) -> str | None:
    """Return what is typed in answer to `prompt`; None where there is no terminal, or its input ends."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return None
    try:
        return _ask(terminal, prompt)
    finally:
        os.close(terminal)


def _ask(terminal: int, prompt: str) -> str | None:
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    try:
        os.write(terminal, prompt.encode())
        line = os.read(terminal, 1024)
        os.write(terminal, b"\n")
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    return line.rstrip(b"\n").decode("utf-8", "surrogateescape") if line else None
