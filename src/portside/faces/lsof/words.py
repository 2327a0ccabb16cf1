"""The command line as lsof reads it: letters behind `-` or `+`, with values that the option itself decides about.

An option that may have a value gets what follows, in the same word or the next; if it does not want that (`-i -P`),
or not all of it (`-L5P`), it gives the rest back, and that is read as letters again.
"""

from __future__ import annotations

HIGHEST = (1 << 31) - 1

# a colon behind a letter: it may have a value
LETTERS = "?abc:D:d:e:Ef:F:g:hi:JjK:lL:m:MnNo:Op:QPr:Rs:S:tT:u:UvVwx:XZ:"


def number(digits: str) -> int:
    """Return a number as a C integer; one that is too large is the largest."""
    return min(int(digits[:20] or "0"), HIGHEST)


class Words:
    """Reads one option after the other; `value` and `sign` (`-` or `+`) belong to the last one."""

    def __init__(self, words: list[str]) -> None:
        self.value: str | None = None
        self.sign = "-"
        self.wrong = ""  # what is wrong with the last letter
        self._words = words
        self._word = 0
        self._place = 0
        self._back = (0, 0)

    def next(self) -> str:
        """Return the next letter, empty where the options end; `wrong` says if it is none of lsof's."""
        if not self._place and not self._begin():
            return ""
        word = self._words[self._word]
        letter = word[self._place]
        self.value, self.wrong = None, ""
        known = LETTERS.find(letter)
        if letter == ":":
            self.wrong = "colon is an illegal option character."
        elif known < 0:
            self.wrong = f"illegal option character: {letter}"
        if not self.wrong and LETTERS[known + 1 : known + 2] == ":":
            self._take_value(word)
        else:
            self._place += 1
            if self._place == len(word):
                self._word, self._place = self._word + 1, 0
        return letter

    def _begin(self) -> bool:
        """Go to the letters of the next word; false if it has none."""
        word = self._words[self._word] if self._word < len(self._words) else ""
        if word in ("--", "++"):
            self._word += 1
            return False
        if len(word) < 2 or word[0] not in "-+":
            return False
        self.sign, self._place = word[0], 1
        return True

    def _take_value(self, word: str) -> None:
        if self._place + 1 < len(word):
            self._back = (self._word, self._place + 1)
            self.value = word[self._place + 1 :]
            self._word += 1
        else:
            self._word += 1
            self._back = (self._word, 0)
            if self._word < len(self._words) and self._words[self._word] != "--":
                self.value = self._words[self._word]
                self._word += 1
        self._place = 0

    def give_back(self, used: int = 0) -> None:
        """Read the value as letters again, but for its first `used` characters."""
        self._word, self._place = self._back[0], self._back[1] + used

    def optional(self) -> str | None:
        """Return the value, None where there is none; what looks like the next option is given back."""
        if self.value is not None and self.value[:1] in ("-", "+"):
            self.give_back()
            return None
        return self.value

    def number(self) -> int | None:
        """Return the digits that an optional value begins with; what follows them is given back."""
        value = self.optional()
        if value is None:
            return None
        digits = value[: len(value) - len(value.lstrip("0123456789"))]
        if len(digits) < len(value):
            self.give_back(len(digits))
        return number(digits) if digits else None

    def operands(self) -> list[str]:
        """Return the words behind the options."""
        return self._words[self._word :]
