"""Regular expressions and patterns as POSIX has them, by the C library: regcomp(3), fnmatch(3).

Python's are another language (`a\\{2\\}`, `[[:alpha:]]`, what a `*` at the start means), so tools that promise
POSIX's go this way.
"""

from __future__ import annotations

import ctypes

from portside.errors import BadRequest

# regex.h, the same in glibc and musl
_EXTENDED, _ICASE, _NOSUB = 1, 2, 8
_COMPILED_SIZE = 256  # sizeof(regex_t) is 64 in glibc
_MESSAGE_SIZE = 256

_libc = ctypes.CDLL(None)


class Expression:
    """A compiled expression; the C library's memory for it is kept to the end of the program."""

    def __init__(self, pattern: bytes, *, extended: bool = True, ignore_case: bool = False) -> None:
        """Compile; raises BadRequest with the C library's words as its reason."""
        self._compiled = ctypes.create_string_buffer(_COMPILED_SIZE)
        options = _NOSUB | (_EXTENDED if extended else 0) | (_ICASE if ignore_case else 0)
        code = _libc.regcomp(self._compiled, ctypes.c_char_p(pattern), options)
        if code:
            words = ctypes.create_string_buffer(_MESSAGE_SIZE)
            _libc.regerror(code, self._compiled, words, ctypes.c_size_t(_MESSAGE_SIZE))
            raise BadRequest("compile", repr(pattern), words.value.decode("utf-8", "replace"))

    def found_in(self, text: bytes) -> bool:
        """Whether some part of the text matches."""
        subject = ctypes.c_char_p(text)
        return not int(_libc.regexec(self._compiled, subject, ctypes.c_size_t(0), None, 0))


_FNM_CASEFOLD = 16  # fnmatch.h, the same in glibc and musl


def glob_matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches a shell's pattern, capitals like small letters: fnmatch(3)."""
    words = [ctypes.c_char_p(word.encode("utf-8", "surrogateescape")) for word in (pattern, text)]
    return not int(_libc.fnmatch(*words, _FNM_CASEFOLD))
