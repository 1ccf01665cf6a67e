"""Faults: each turns an answer into a worse one, and nothing else.

A fault is a frozen value, given to a `Reply` (`fault=` takes one, or several that are applied in order). Those that
name an event count the events of a stream from 0; a whole answer is one piece, number 0. Those that name a byte count
bytes of the body without its HTTP framing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from .frames import error_frame, exception_frame
from .wire import FOREVER, Afterwards, Answer, End, Framing, Pause, Piece

MODELLED_EXCEPTIONS = (
    "internalServerException",
    "modelStreamErrorException",
    "validationException",
    "throttlingException",
    "serviceUnavailableException",
)
"""The exceptions that the service model knows inside a stream."""


class Fault(Protocol):
    """Something that goes wrong with an answer."""

    def apply(self, answer: Answer) -> Answer:
        """The answer, gone wrong."""


@dataclass(frozen=True, slots=True)
class Hangup:
    """The connection ends before the response, inside its headers, or before its body; by FIN, or by RST.

    Inside the headers, `after` bytes of them are sent; by default the status line and half of the rest.
    """

    before: Literal["headers", "inside headers", "body"] = "headers"
    reset: bool = False
    after: int | None = None

    def apply(self, answer: Answer) -> Answer:
        """The head cut short, or no body."""
        end = End.RESET if self.reset else End.FIN
        if self.before == "body":
            return Cut(0, end).apply(answer)
        return replace(answer, head_cut=self._sent(answer), end=end)

    def _sent(self, answer: Answer) -> int:
        if self.before == "headers":
            return 0
        if self.after is not None:
            return self.after
        names = sum(len(name) + len(value) + 4 for name, value in answer.headers)
        return len(f"HTTP/1.1 {answer.status} OK\r\n") + names // 2


@dataclass(frozen=True, slots=True)
class Cut:
    """The body ends after `at` bytes: cleanly (`End.PROPER`: valid HTTP, too little in it), by FIN, or by RST.

    A clean cut closes the chunked encoding in good order, or announces the shorter length. By FIN or RST the framing
    breaks off where the bytes do: inside a chunk, or between two if `at` is the end of an event.
    """

    at: int
    end: End = End.PROPER

    def apply(self, answer: Answer) -> Answer:
        """The pieces up to the cut; the one that is cut still promises its whole size, unless the end is clean."""
        kept: list[Piece] = []
        left = self.at
        for piece in answer.pieces:
            if left <= 0:
                break
            kept.append(self._cut(piece, left))
            left -= len(piece.data)
        length = None if self.end is End.PROPER else answer.length or len(answer.body)
        return replace(answer, pieces=kept, end=self.end, length=length)

    def _cut(self, piece: Piece, size: int) -> Piece:
        if size >= len(piece.data):
            return piece
        promised = None if self.end is End.PROPER else len(piece.data)
        return replace(piece, data=piece.data[:size], promised=promised)


@dataclass(frozen=True, slots=True)
class ShortLength:
    """The body breaks off after `at` bytes, and the Content-Length announces all of it; the connection closes."""

    at: int

    def apply(self, answer: Answer) -> Answer:
        """Content-Length framing, cut by FIN."""
        return Cut(self.at, End.FIN).apply(replace(answer, framing=Framing.LENGTH, length=len(answer.body)))


@dataclass(frozen=True, slots=True)
class Flip:
    """Bit number `bit` of the body is the other way round (bit 8 * n is the lowest of byte n)."""

    bit: int

    def apply(self, answer: Answer) -> Answer:
        """The pieces, one of them wrong in one bit."""
        pieces, byte = list(answer.pieces), self.bit // 8
        for number, piece in enumerate(pieces):
            if byte < len(piece.data):
                flipped = bytearray(piece.data)
                flipped[byte] ^= 1 << self.bit % 8
                pieces[number] = replace(piece, data=bytes(flipped))
                break
            byte -= len(piece.data)
        return replace(answer, pieces=pieces)


@dataclass(frozen=True, slots=True)
class StreamException:
    """An exception frame stands in place of event number `at` and all that would follow it."""

    name: str = "throttlingException"
    message: str | None = "Too many requests, please wait before trying again."
    at: int = 0
    members: dict[str, object] = field(default_factory=dict)

    def apply(self, answer: Answer) -> Answer:
        """The stream up to the event, then the exception, then a proper end."""
        return _with_last(answer, self.at, exception_frame(self.name, self.message, self.members))


@dataclass(frozen=True, slots=True)
class StreamError:
    """A frame of `:message-type error` stands in place of event number `at` and all that would follow it."""

    code: str = "InternalError"
    message: str = "An internal server error occurred"
    at: int = 0

    def apply(self, answer: Answer) -> Answer:
        """The stream up to the event, then the error, then a proper end."""
        return _with_last(answer, self.at, error_frame(self.code, self.message))


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes that are no frame stand before event number `at`; the rest follows."""

    data: bytes = b"\x00junk that is no event-stream frame at all\xff" * 4
    at: int = 0

    def apply(self, answer: Answer) -> Answer:
        """The stream with the bytes put in."""
        pieces = answer.pieces
        return replace(answer, pieces=[*pieces[: self.at], Piece(self.data), *pieces[self.at :]])


@dataclass(frozen=True, slots=True)
class Stall:
    """Silence before event number `at`, then the rest: for `seconds`, or until the client gives up.

    An event as `until` ends the silence when a test sets it. With `byte`, the silence falls inside that event, after
    so many of its bytes. `at=-1` is before the headers.
    """

    at: int = 0
    seconds: float = FOREVER
    byte: int | None = None
    until: threading.Event | None = None

    def apply(self, answer: Answer) -> Answer:
        """The answer with a pause in it; an `at` past the last event stalls before the end of the body."""
        if self.at < 0:
            return replace(answer, delay=self._pause)
        pieces = list(answer.pieces)
        if self.at >= len(pieces):
            return replace(answer, pieces=[*pieces, Piece(b"", self._pause)])
        piece = pieces[self.at]
        if self.byte is None:
            pieces[self.at] = replace(piece, pause=self._pause)
        else:
            first, rest = piece.data[: self.byte], piece.data[self.byte :]
            pieces[self.at : self.at + 1] = [replace(piece, data=first), Piece(rest, self._pause, event=piece.event)]
        return replace(answer, pieces=pieces)

    @property
    def _pause(self) -> Pause:
        return self.seconds if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream ends, in good order, before the first event of this name or before event number `before`."""

    before: str | int = "messageStop"

    def apply(self, answer: Answer) -> Answer:
        """The events before it."""
        for number, piece in enumerate(answer.pieces):
            if self.before in (number, piece.event):
                return replace(answer, pieces=answer.pieces[:number])
        return answer


@dataclass(frozen=True, slots=True)
class Body:
    """Another body under the same status: `{}`, HTML, nothing."""

    data: bytes = b""
    content_type: str | None = None

    def apply(self, answer: Answer) -> Answer:
        """The body replaced."""
        headers = [pair for pair in answer.headers if self.content_type is None or pair[0] != "Content-Type"]
        if self.content_type is not None:
            headers.append(("Content-Type", self.content_type))
        return replace(answer, headers=headers, pieces=[Piece(self.data)])


@dataclass(frozen=True, slots=True)
class Stale:
    """The answer is good; the connection that the client keeps goes stale after it."""

    how: Afterwards = Afterwards.FIN

    def apply(self, answer: Answer) -> Answer:
        """The same answer, another afterwards."""
        return replace(answer, afterwards=self.how)


def apply_faults(answer: Answer, faults: Fault | Sequence[Fault] | None) -> Answer:
    """All the faults, in order."""
    if faults is None:
        return answer
    for fault in faults if isinstance(faults, Sequence) else (faults,):
        answer = fault.apply(answer)
    return answer


def _with_last(answer: Answer, at: int, data: bytes) -> Answer:
    return replace(answer, pieces=[*answer.pieces[:at], Piece(data)])
