"""ss's filter language: words -> a tree of conditions.

    list  = expr { [ "|" | "&" ] expr }
    expr  = "(" list ")"  |  "!" expr  |  "autobound"
          | ("dst" | "src") [ "=" ] HOST
          | ("dport" | "sport") [ "=" | "!=" | "<" | ">" | "<=" | ">=" ] PORT
          | ("dev" | "fwmark" | "cgroup") [ "=" | "!=" ] VALUE

`and` and `or` bind alike, from left to right: not as ss's manual page says, but as ss does.  Words are separated by
blanks, also within one word of the command line; a backslash takes the next character as it is.  After the command
line comes the file of -F, in which lines that begin with # or 0 are left out.  A value is read, and names in it are
looked up, as soon as it is met: so its error comes before one in the grammar behind it.
Reference: misc/ssfilter.y of iproute2 6.1.
"""

from __future__ import annotations

from portside.faces import printable
from portside.faces.ss.condition import Autobound, Both, Either, End, Node, Not, Order
from portside.faces.ss.context import Stop
from portside.faces.ss.words import WRONG, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portside.faces.ss.operands import Operands

_SPELLINGS = {
    "!": "! not", "&": "& && and", "|": "| || or", "(": "(", ")": ")", ">=": ">= ge geq", "<=": "<= le leq",
    "!=": "!= ne neq", "=": "= == eq", ">": "> gt", "<": "< lt",
}  # fmt: skip
_SYMBOLS = {spelling: symbol for symbol, all_ in _SPELLINGS.items() for spelling in all_.split()}
_NAMES = ("dst", "src", "dport", "sport", "dev", "fwmark", "cgroup", "autobound")
_FAILURES = {
    "dev": "Cannot parse device.\n",
    "fwmark": "Cannot parse mark {}.\n",
    "cgroup": "Cannot parse cgroup {}.\n",
}
_LONGEST = 1022  # bytes of a line in a file
_DEEPEST = 200  # parentheses and negations in each other; ss's own stack ends at ten thousand

_VALUE = "value"
_END = ""


class _SyntaxError(Exception):
    pass


def parse(words: Sequence[str], lines: Iterator[str], operands: Operands) -> Node | None:
    """Return the filter, None for an empty one; raises Stop for one that is wrong."""
    parser = _Parser(_tokens(words, lines), operands)
    try:
        return parser.whole()
    except _SyntaxError:
        raise wrong('ss: bison bellows (while parsing filter): "syntax error!" Sorry.\n') from None


def _tokens(words: Sequence[str], lines: Iterator[str]) -> Iterator[str]:
    for word in words:
        yield from _split(word)
    for line in lines:
        if len(line) > _LONGEST:
            raise Stop(WRONG, "Too long line in filter\n")
        text = line.removesuffix("\n")
        if not text.startswith(("#", "0")):
            yield from _split(text)


def _split(text: str) -> Iterator[str]:
    """Take a text apart at blanks and tabs; a backslash escapes."""
    word, begun = "", False
    characters = iter(text)
    for one in characters:
        if one in " \t":
            if begun:
                yield word
            word, begun = "", False
            continue
        word += next(characters, "") if one == "\\" else one
        begun = True
    if begun:
        yield word


class _Parser:
    """One pass; `kind` is what the next token is: a symbol, a name, _VALUE or _END."""

    def __init__(self, tokens: Iterator[str], operands: Operands) -> None:
        self._tokens = tokens
        self._operands = operands
        self._about = ""  # the name that came last: what a value is about
        self._value: object = None
        self._depth = 0
        self._kind = ""
        self._advance()

    def _advance(self) -> None:
        token = next(self._tokens, None)
        if token is None:
            self._kind = _END
        elif token in _SYMBOLS:
            self._kind = _SYMBOLS[token]
        elif token in _NAMES:
            self._kind = self._about = token
        else:
            self._kind, self._value = _VALUE, self._read(token)

    def _read(self, token: str) -> object:
        """Return what a value means to the name before it."""
        about = self._about
        read = {
            "dev": self._operands.device,
            "fwmark": self._operands.mark,
            "cgroup": self._operands.cgroup,
        }.get(about)
        value = read(token) if read else self._operands.end(token, about in ("sport", "dport"), about)
        if value is None:
            said = _FAILURES.get(about, "Cannot parse dst/src address.\n")
            raise Stop(1, self._operands.said + said.format(printable(token)))
        return value

    def whole(self) -> Node | None:
        if self._kind == _END:
            return None
        node = self._list()
        if self._kind != _END:
            raise _SyntaxError
        return node

    def _list(self) -> Node:
        node = self._expr()
        while self._kind not in (_END, ")"):
            symbol = self._kind
            if symbol in ("|", "&"):
                self._advance()
            following = self._expr()
            node = Either(node, following) if symbol == "|" else Both(node, following)
        return node

    def _expr(self) -> Node:
        symbol = self._kind
        if symbol in ("(", "!"):
            return self._inner(symbol)
        if symbol not in _NAMES:
            raise _SyntaxError
        self._advance()
        return Autobound() if symbol == "autobound" else self._test(symbol)

    def _inner(self, symbol: str) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise wrong('ss: bison bellows (while parsing filter): "memory exhausted!" Sorry.\n')
        self._advance()
        node = self._list() if symbol == "(" else Not(self._expr())
        if symbol == "(":
            if self._kind != ")":
                raise _SyntaxError
            self._advance()
        self._depth -= 1
        return node

    def _test(self, name: str) -> Node:
        compare = "="
        allowed = {"dst": ("=",), "src": ("=",), "dport": _COMPARE, "sport": _COMPARE}.get(name, ("=", "!="))
        if self._kind in allowed:
            compare = self._kind
            self._advance()
        if self._kind != _VALUE:
            raise _SyntaxError
        value = self._value
        self._advance()
        if not isinstance(value, Node):
            raise _SyntaxError
        if compare in ("=", "!="):
            return value if compare == "=" else Not(value)
        return _order(value, name == "sport", compare)


_COMPARE = ("=", "!=", ">", "<", ">=", "<=")


def _order(end: Node, local: bool, compare: str) -> Node:
    """Return a test of order; more and less are told as not at most and not at least."""
    port = end.port if isinstance(end, End) else 0
    order = Order(local, compare in (">=", "<"), port)
    return order if compare.endswith("=") else Not(order)
