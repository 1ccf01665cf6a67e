"""Where the keys of a TOML file stand, which `tomllib` does not say.

In comes the text of a file that `tomllib` has read without complaint, out goes the line of every table, key and item of a
list; items go by their number. Values are skipped, not read; nothing here judges anything.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping

Path = tuple[str, ...]
Token = tuple[str, int]

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|\n|[A-Za-z0-9_-]+|[^\s]',
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+|\"|'")


def key_lines(text: str) -> Mapping[Path, int]:
    """The line of every table, key and item, by its full path; lines count from 1, items from 0."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of a key, or of the nearest table around it that stands in the file."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


class _Scanner:
    """Goes over the tokens of one text, once."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._tokens = _tokens(text)
        self._table: Path = ()
        self._items: Counter[Path] = Counter()

    def scan(self) -> None:
        for token in self._tokens:
            if token[0] == "\n":
                continue
            if token[0] == "[":
                self._table = self._header(next(self._tokens))
                self._skip_line()
            else:
                self._pair(token, self._table)

    def _header(self, first: Token) -> Path:
        path, line = self._key(first, "]")
        table = self._note((), (path, line))
        if first[0] != "[":
            return table
        number = self._items[path]
        self._items[path] += 1
        return self._note(table, ((str(number),), line))

    def _note(self, table: Path, key: tuple[Path, int]) -> Path:
        path = (*table, *key[0])
        for depth in range(len(table) + 1, len(path) + 1):
            self.lines.setdefault(path[:depth], key[1])
        return path

    def _key(self, token: Token, end: str) -> tuple[Path, int]:
        """A key, dotted or not, up to the mark that ends it, with its line."""
        parts: list[str] = []
        line = token[1]
        while token[0] != end:
            if _BARE.match(token[0]):
                parts.append(_unquoted(token[0]))
            token = next(self._tokens)
        return tuple(parts), line

    def _pair(self, first: Token, table: Path) -> str:
        """A key and its value; the mark after the value."""
        path = self._note(table, self._key(first, "="))
        self._inside(next(self._tokens)[0], path)
        return self._skip_value()

    def _inside(self, mark: str, path: Path) -> None:
        """What is in a value that begins with this mark."""
        if mark == "{":
            self._inline_table(path)
        elif mark == "[":
            self._array(path)

    def _inline_table(self, path: Path) -> None:
        mark = ","
        while mark != "}":
            token = self._next_in_brackets()
            mark = "}" if token[0] == "}" else self._pair(token, path)

    def _array(self, path: Path) -> None:
        number = 0
        for mark, line in self._tokens:
            if mark == "]":
                return
            if mark == ",":
                number += 1
            elif mark != "\n":
                self._inside(mark, self._note(path, ((str(number),), line)))

    def _next_in_brackets(self) -> Token:
        return next(token for token in self._tokens if token[0] != "\n")

    def _skip_value(self) -> str:
        """The rest of a value; the mark that ends it."""
        return next((mark for mark, _ in self._tokens if mark in {"\n", ",", "}"}), "\n")

    def _skip_line(self) -> None:
        next((mark for mark, _ in self._tokens if mark == "\n"), None)


def _tokens(text: str) -> Iterator[Token]:
    """The tokens with the lines on which they begin; comments are left out."""
    line, end = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", end, found.start())
        if not found[0].startswith("#"):
            yield found[0], line
        line += found[0].count("\n")
        end = found.end()


def _unquoted(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 0")))
