"""The head of an answer, read at one go: what `http.client` makes of it, without `email.parser`.

In comes the socket of a connection that expects an answer, out goes `http.client`'s response with its headers. The
standard library reads a head line by line and gives it to a parser of mail: 40 us, 5 % of a short turn. A head that is
plain (all of it arrived at once, status 200, printable ASCII, framed in one way, on a connection that stays open) is
taken with one expression; any other is left where it is, for `http.client` to read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.client import HTTPMessage, HTTPResponse
from typing import Any

_PLAIN = re.compile(rb"HTTP/1\.1 200 ([ -~]*)\r\n((?:[A-Za-z0-9-]+:[\t -~]*\r\n){1,99})\r\n")
_HTTP_1_1 = 11

_FRAMING = {"content-length", "transfer-encoding", "connection"}
"""What says where an answer ends; each at most once."""


def quick_response(response_class: Any) -> Any:
    """The class of responses that reads plain heads itself; one that is not the standard library's stays."""
    return QuickResponse if response_class is HTTPResponse else response_class


class QuickResponse(HTTPResponse):
    """An `HTTPResponse` that reads a plain head at one go."""

    _method: str | None

    def begin(self) -> None:
        """Read the head, as `HTTPConnection.getresponse` has it done."""
        begun: Any = self.headers
        if begun is not None or self.debuglevel or self._method == "HEAD" or not self._take_plain_head():
            super().begin()

    def _take_plain_head(self) -> bool:
        """Whether the head was plain, and is read."""
        buffer: Any = self.fp
        found = _PLAIN.match(buffer.peek(1))
        if found is None:
            return False
        headers, framing = _headers(found[2])
        length = _length(framing)
        if length is None:
            return False
        buffer.read(found.end())
        self.code = self.status = 200
        self.reason = found[1].decode("ascii").strip()
        self.version = _HTTP_1_1
        self.headers = self.msg = headers
        self.will_close = False
        self.chunked = length < 0
        self.length = None if self.chunked else length
        if self.chunked:
            self.chunk_left = None
        return True


def _headers(lines: bytes) -> tuple[HTTPMessage, dict[str, str] | None]:
    """(the headers, those that frame the answer); None where one of the latter is said twice."""
    headers = HTTPMessage()
    framing: dict[str, str] | None = {}
    for line in lines.decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        value = value.lstrip(" \t")
        headers.set_raw(name, value)
        lower = name.lower()
        if lower in _FRAMING and framing is not None:
            framing = None if lower in framing else {**framing, lower: value}
    return headers, framing


def _length(framing: Mapping[str, str] | None) -> int | None:
    """Bytes of the body, -1 where it is chunked; None where it takes thought."""
    if framing is None or framing.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    length, encoding = framing.get("content-length"), framing.get("transfer-encoding")
    if encoding is not None:
        return -1 if length is None and encoding.lower() == "chunked" else None
    return int(length) if length is not None and length.isdigit() else None
