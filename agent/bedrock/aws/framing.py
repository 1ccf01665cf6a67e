"""HTTP's ways to say where a body ends, undone: bytes as they come off the wire go in, bytes of the body come out.

Nothing waits for the rest of a chunk. What is wrong is said in urllib3's words, for whoever raises it.
"""

from __future__ import annotations

from typing import Any

MAX_LINE_LENGTH = 65536
"""Bytes of a line between chunks, as urllib3 limits it."""

_LINE_END = b"\r\n"
_LINE_END_SIZE = len(_LINE_END)


class NoChunkError(Exception):
    """Bytes where a chunk's size ought to stand; `line` is their beginning."""

    def __init__(self, line: bytes) -> None:
        super().__init__(f"no chunk size: {line[:80]!r}")
        self.line = line[:80]


class Chunked:
    """Chunked transfer coding, undone; a chunk is passed on as far as it has come."""

    def __init__(self) -> None:
        self.ended = False
        self.surplus = False
        self._left = 0
        """Bytes that the current chunk still lacks, its closing CRLF included."""
        self._line = b""
        self._in_trailers = False

    def feed(self, data: bytes) -> bytes:
        """The body bytes among these; NoChunkError where a chunk's size is missing."""
        if self._line:
            data, self._line = self._line + data, b""
        position, size = self._left, len(data)
        parts = [data[: position - _LINE_END_SIZE]] if position > _LINE_END_SIZE else []
        while position < size and not self.ended:
            line_end = data.find(_LINE_END, position)
            if line_end < 0:
                self._keep_line(data[position:])
                position = size
                break
            line = data[position:line_end]
            length = (not self._in_trailers and _SIZES.get(line)) or self._read_line(line)
            position = line_end + _LINE_END_SIZE
            if length:
                end = position + length
                parts.append(data[position:end])
                position = end + _LINE_END_SIZE
        self._left = position - size if position > size else 0
        self.surplus = position < size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def end_of_input(self) -> str | None:
        """What is wrong with an end here: None, or urllib3's words for it; an end among the trailers passes."""
        if self._in_trailers:
            return None
        if self._left > _LINE_END_SIZE:
            return f"Connection broken: IncompleteRead({self._left - _LINE_END_SIZE} more expected)"
        return "Response ended prematurely"

    def _read_line(self, line: bytes) -> int:
        """What follows the line before the next one: a chunk of so many bytes, or nothing."""
        if self._in_trailers:
            self.ended = not line
            return 0
        length = _chunk_size(line)
        self._in_trailers = length == 0
        return length

    def _keep_line(self, line: bytes) -> None:
        if len(line) > MAX_LINE_LENGTH:
            raise NoChunkError(line)
        self._line = line


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        size = int(digits, 16)
    except ValueError:
        size = -1
    if size < 0:
        raise NoChunkError(line)
    if size and len(line) <= 8 and len(_SIZES) < REMEMBERED_SIZES:
        _SIZES[line] = size
    return size


REMEMBERED_SIZES = 4096
"""Chunk sizes that are remembered: a stream has one chunk per event, of some hundred sizes."""

_SIZES: dict[bytes, int] = {}


class Counted:
    """A body of a known length."""

    def __init__(self, length: int, *, enforced: bool) -> None:
        self.ended = length == 0
        self.surplus = False
        self._left = length
        self._enforced = enforced

    def feed(self, data: bytes) -> bytes:
        """The body bytes among these."""
        self.surplus = len(data) > self._left
        body = data[: self._left] if self.surplus else data
        self._left -= len(body)
        self.ended = self._left == 0
        return body

    def end_of_input(self) -> str | None:
        """What is wrong with an end here; botocore since 1.43 asks urllib3 not to mind."""
        return f"Connection broken: IncompleteRead({self._left} more expected)" if self._enforced else None


class Unframed:
    """A body that the end of the connection ends."""

    ended = False
    surplus = False

    def feed(self, data: bytes) -> bytes:
        """All of them."""
        return data

    def end_of_input(self) -> str | None:
        """Nothing is wrong with it."""
        return None


Framing = Chunked | Counted | Unframed


def framing_of(raw: Any) -> Framing:
    """How the body of a urllib3 response is framed."""
    if raw.chunked:
        return Chunked()
    if raw.length_remaining is None:
        return Unframed()
    return Counted(raw.length_remaining, enforced=raw.enforce_content_length)
