"""Heads of requests and answers, written and read at one go: what `http.client` makes of them, for half the price.

In comes a request that botocore has prepared, out goes its head; in comes the socket of a connection that expects an
answer, out goes `http.client`'s response with its headers. The standard library writes and reads a head line by line, and
gives what it reads to a parser of mail: together 10 % of a short turn. What is plain (printable ASCII; an answer that
arrived at once, with status 200, framed in one way, on a connection that stays open) is taken with one expression; any
other is left as it is, for `http.client`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import client
from http.client import HTTPMessage, HTTPResponse
from io import BufferedReader
from typing import Any

from .genuine import Steps

# --- requests ---------------------------------------------------------------------------------------------------------

_PLAIN_REQUEST = re.compile(r"[A-Z]+ /[!-~]* HTTP/1\.1\r\n(?:[A-Za-z0-9-]+: [ -~]*\r\n)+")

_EXPECTED = {"content-length", "user-agent"}
_NEEDS_THOUGHT = {"accept-encoding", "expect", "host", "transfer-encoding"}


def request_head(host: str, method: str, url: str, headers: Mapping[str, Any]) -> bytes | None:
    """The head of a request, to the letter what urllib3 would send; None where that takes thought."""
    names = set()
    lines = [f"{method} {url} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity"]
    for name, value in headers.items():
        names.add(name.lower())
        if type(value) is bytes:
            lines.append(f"{name}: {value.decode('latin-1')}")
        elif type(value) is str and value.isdigit():  # other text may be a mark that means something to urllib3
            lines.append(f"{name}: {value}")
        else:
            return None
    head = "\r\n".join(lines) + "\r\n"
    plain = names >= _EXPECTED and names.isdisjoint(_NEEDS_THOUGHT) and _PLAIN_REQUEST.fullmatch(head)
    if not plain or head.count("\n") != len(lines):  # a line break inside would be a header of its own
        return None
    return f"{head}\r\n".encode("ascii")


# --- answers ----------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(rb"HTTP/1\.1 200 ([ -~]*)\r\n((?:[A-Za-z0-9-]+:[\t -~]*\r\n){1,99})\r\n")
_HTTP_1_1 = 11
_ABSURD = 20  # digits of a length; of thousands Python makes no number

_READING = Steps([(HTTPResponse, "begin"), (HTTPResponse, "_read_status"), (client, "parse_headers")])
"""How the standard library reads a head."""

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
        by_line = begun is not None or self.debuglevel or self._method == "HEAD" or not _READING.are_genuine()
        if by_line or not self._take_plain_head():
            super().begin()

    def _take_plain_head(self) -> bool:
        """Whether the head was plain, and is read."""
        buffer: Any = self.fp
        found = _PLAIN.match(buffer.peek(1)) if isinstance(buffer, BufferedReader) else None
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
    return int(length) if length is not None and length.isdigit() and len(length) < _ABSURD else None
