"""HTTP/1.1 by hand: requests are read from bytes, answers become timed steps of bytes. No socket is touched here.

An `Answer` is a value: a head, pieces of body, how the body is framed, how it ends and what becomes of the connection
afterwards. The faults (`faults.py`) turn one answer into another; `steps` writes it out, byte for byte as it was
asked for, also where that is not HTTP any more.
"""

from __future__ import annotations

import enum
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

FOREVER = math.inf
"""A pause that only the closing of the connection ends."""

Pause = float | threading.Event
"""Seconds of silence, or an event that ends it when a test sets it."""

_HEAD_END = b"\r\n\r\n"


class Framing(enum.Enum):
    """How the client learns where the body ends."""

    CHUNKED = "chunked"
    LENGTH = "length"
    EOF = "eof"


class End(enum.Enum):
    """How the body ends: in good order, or by the connection's end."""

    PROPER = "proper"
    FIN = "fin"
    RESET = "reset"
    CLOSE_NOTIFY = "close-notify"
    """TLS says goodbye first; over plain TCP the same as FIN."""


class Afterwards(enum.Enum):
    """What becomes of a connection whose answer is complete: kept, or one of the ways of going stale."""

    KEEP = "keep"
    FIN = "fin"
    RESET = "reset"
    RESET_NEXT = "reset-next"
    """The connection stays open; the next request on it is answered by RST."""
    BLACK_HOLE = "black-hole"
    """The connection stays open; nothing is ever read from it or written to it again."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of body: one stream event's frame, or a whole JSON answer.

    `pause` passes before it. `promised` is the size that its chunk announces, where that is not its own.
    """

    data: bytes
    pause: Pause = 0.0
    promised: int | None = None
    event: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `length` is the announced Content-Length, `head_cut` how many bytes of the head are sent."""

    status: int
    headers: Sequence[tuple[str, str]]
    pieces: Sequence[Piece]
    framing: Framing = Framing.LENGTH
    delay: Pause = 0.0
    end: End = End.PROPER
    afterwards: Afterwards = Afterwards.KEEP
    length: int | None = None
    head_cut: int | None = None
    merge: bool = True
    """Whether pieces that nothing separates in time may go out in one write."""

    @property
    def body(self) -> bytes:
        """The body without its framing."""
        return b"".join(piece.data for piece in self.pieces)


Step = tuple[Pause, bytes]
"""What to wait for, then bytes to write."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class RequestReader:
    """Bytes in, requests out; what is not HTTP raises ValueError."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self.wants_continue = False

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived."""
        self._buffer += data

    def next_request(self) -> HttpRequest | None:
        """The next request, once all of it has arrived."""
        if self._head is None:
            self._read_head()
        if self._head is None:
            return None
        method, target, headers = self._head
        body = self._read_body(headers)
        if body is None:
            return None
        self._head = None
        return HttpRequest(method, target, headers, body)

    def _read_head(self) -> None:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + len(_HEAD_END)]
        method, target, _version = first.split(" ")
        headers = dict(_header(line) for line in lines)
        self.wants_continue = headers.get("expect", "").lower() == "100-continue"
        self._head = (method, target, headers)

    def _read_body(self, headers: Mapping[str, str]) -> bytes | None:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._read_chunks()
        length = int(headers.get("content-length", "0"))
        if len(self._buffer) < length:
            return None
        body = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return body

    def _read_chunks(self) -> bytes | None:
        """The chunks joined, once the last is there; until then nothing is taken from the buffer."""
        body, at = bytearray(), 0
        while True:
            line = self._buffer.find(b"\r\n", at)
            if line < 0:
                return None
            size = int(bytes(self._buffer[at:line]).split(b";")[0], 16)
            at = line + 2 + size + 2
            if len(self._buffer) < at:
                return None
            if size == 0:
                del self._buffer[:at]
                return bytes(body)
            body += self._buffer[line + 2 : line + 2 + size]


def steps(answer: Answer) -> Iterator[Step]:
    """The answer as timed writes."""
    head = head_bytes(answer)
    if answer.head_cut is not None:
        yield answer.delay, head[: answer.head_cut]
        return
    pause, pending = answer.delay, bytearray(head)
    for piece in answer.pieces:
        if piece.pause or not answer.merge:
            yield pause, bytes(pending)
            pause, pending = piece.pause, bytearray()
        pending += framed(piece, answer.framing)
    if answer.framing is Framing.CHUNKED and answer.end is End.PROPER:
        pending += b"0\r\n\r\n"
    yield pause, bytes(pending)


def framed(piece: Piece, framing: Framing) -> bytes:
    """A piece as its framing writes it: a chunk that is shorter than it promised has no end."""
    if framing is not Framing.CHUNKED or (not piece.data and piece.promised is None):
        return piece.data
    promised = len(piece.data) if piece.promised is None else piece.promised
    closing = b"\r\n" if promised == len(piece.data) else b""
    return b"%x\r\n%b%b" % (promised, piece.data, closing)


def head_bytes(answer: Answer) -> bytes:
    """Status line and headers, with those that the framing and the end of the connection ask for."""
    lines = [f"HTTP/1.1 {answer.status} {_reason(answer.status)}"]
    lines += (f"{name}: {value}" for name, value in (*answer.headers, *_framing_headers(answer)))
    return "\r\n".join(lines).encode("latin-1") + _HEAD_END


def _framing_headers(answer: Answer) -> Iterator[tuple[str, str]]:
    if answer.framing is Framing.CHUNKED:
        yield "Transfer-Encoding", "chunked"
    elif answer.framing is Framing.LENGTH:
        promised = sum(len(piece.data) for piece in answer.pieces) if answer.length is None else answer.length
        yield "Content-Length", str(promised)
    else:
        yield "Connection", "close"


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
