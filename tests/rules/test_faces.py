"""Every face says what it takes, and takes nothing else: an option is honoured or refused, never ignored."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import signal
import string
from pathlib import Path

import pytest
from tests.rules.test_reference import reference_maker
from tests.support import require

from portside.errors import NotPermitted
from portside.faces import FACES
from portside.testing import Namespace

ROOT = Path(__file__).resolve().parents[2]
LETTERS = string.ascii_letters + string.digits + string.punctuation.replace("-", "")
# letters that the tool itself knows and refuses here, in words of its own that do not hold the letter
OWN_WORDS = {"netstat": set("2fMSZ"), "ss": set("zZ"), "nc": set("lS"), "ncat": set("46CgGklntuUvz")}
PATIENCE = 2.0  # seconds after which an option is one that repeats, and so was taken


def outcomes(name):
    """Return letter -> (exit code or None for one that goes on, what it said on standard error)."""
    main = importlib.import_module(f"portside.faces.{name}").main
    return {letter: outcome(main, [f"-{letter}"]) for letter in LETTERS}


def outcome(main, words):
    """Run a face in this process; one that goes on is interrupted."""
    err = io.StringIO()
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            code = main(words)
    except KeyboardInterrupt:
        code = None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return code, err.getvalue()


def documented(name):
    """Return the letters that a face's help tells: `-x`, or one of a bundle `[-xyz]`."""
    text = reference_maker().face_help(name)
    singles = re.findall(r"(?<![\w-])-(\S)", text)
    bundles = re.findall(r"(?<![\w-])[-+]([\w?]{2,})", text)
    return set("".join([*singles, *bundles]))


@pytest.mark.parametrize("name", FACES)
def test_option_letters_are_honoured_or_refused(name):
    """What a face takes without complaint its help tells; what it complains about it does not go on with."""
    try:
        with Namespace() as scratch:
            told = scratch.call(outcomes, name)
    except NotPermitted as error:
        require(False, str(error))
    taken = {letter for letter, (code, said) in told.items() if code in (0, None) or not said.strip()}
    assert not taken - documented(name), f"{name} takes options that its help does not tell"
    refused = {letter: said for letter, (code, said) in told.items() if letter not in taken}
    assert len(refused) > len(LETTERS) // 3
    for letter, said in refused.items():
        assert "Traceback" not in said
        explained = letter in said or "usage" in said.lower() or letter in OWN_WORDS.get(name, ())
        assert explained, f"{name} -{letter}: {said}"


@pytest.mark.parametrize("name", FACES)
def test_face_is_introduced(name):
    """The help is not empty, and the README, the guide and the reference know the face."""
    assert len(reference_maker().face_help(name).splitlines()) >= 2
    guide = (ROOT / "docs" / "guides" / "coming-from-other-tools.md").read_text()
    assert f"portside {name} " in guide
    assert re.search(rf"\b{name}\b", (ROOT / "README.md").read_text())
    assert f"\n### {name}\n" in (ROOT / "docs" / "reference.md").read_text()
    assert FACES[name][0].islower()
    assert not FACES[name].endswith(".")
