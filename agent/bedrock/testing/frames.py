"""Event-stream frames, written: an event's name and payload come in, the bytes of one frame go out.

The layout is that of `application/vnd.amazon.eventstream`: a prelude (total length, header length, checksum of both),
the headers, the payload, and a checksum over everything before it. What is written here is always whole and right;
to cut or corrupt it is the business of the faults (`faults.py`), so that a wrong frame is always a wrong frame on
purpose. Nothing is decoded here: the decoder under test is another's.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from collections.abc import Iterable, Mapping

PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""The service pads every payload with a prefix of this alphabet, 2 to 61 characters long (recorded 2025)."""

STRING = 7
"""The header type of a string; the service writes no other."""

EMPTY_FRAME = 16
"""Bytes in a frame without headers and payload: prelude 8, its checksum 4, the closing checksum 4."""

_pack_prelude = struct.Struct("!II").pack
_pack_checksum = struct.Struct("!I").pack


def frame(headers: Iterable[tuple[str, str]], payload: bytes = b"") -> bytes:
    """One whole frame with string headers, in the order given, and both checksums."""
    block = b"".join(_string_header(name, value) for name, value in headers)
    prelude = _pack_prelude(EMPTY_FRAME + len(block) + len(payload), len(block))
    start = prelude + _pack_checksum(crc32(prelude)) + block + payload
    return start + _pack_checksum(crc32(start))


def event_frame(event: str, members: Mapping[str, object], *, padding: int | None = None) -> bytes:
    """The frame of a modelled event, with the padding key "p" among its members, which the service sorts by name.

    `padding` is the number of padding characters; None leaves the key out.
    """
    padded = members if padding is None else {**members, "p": PADDING[:padding]}
    headers = ((":event-type", event), (":content-type", "application/json"), (":message-type", "event"))
    return frame(headers, encode_json(dict(sorted(padded.items()))))


def exception_frame(exception: str, message: str | None, members: Mapping[str, object] | None = None) -> bytes:
    """The frame of an exception inside a stream, `exception` being its camelCase name (`throttlingException`)."""
    said = {} if message is None else {"message": message}
    headers = ((":exception-type", exception), (":content-type", "application/json"), (":message-type", "exception"))
    return frame(headers, encode_json({**said, **(members or {})}))


def error_frame(code: str, message: str) -> bytes:
    """The frame of an unmodelled error: code and message stand in the headers, the payload is empty."""
    return frame(((":error-code", code), (":error-message", message), (":message-type", "error")))


def frames_in(stream: bytes) -> list[bytes]:
    """A stream cut where its frames say that they end; what is no whole frame stays in one piece at the end."""
    found, at = [], 0
    while len(stream) - at >= EMPTY_FRAME:
        end = at + int.from_bytes(stream[at : at + 4], "big")
        if not at + EMPTY_FRAME <= end <= len(stream):
            break
        found.append(stream[at:end])
        at = end
    return [*found, stream[at:]] if at < len(stream) else found


def padding_length(serial: int) -> int:
    """The length of the padding of a stream's event number `serial`: 2 to 61, scattered, the same in every run."""
    return 2 + serial * 37 % 60


def encode_json(members: Mapping[str, object]) -> bytes:
    """JSON as the service writes it: compact, characters outside ASCII as UTF-8, lone surrogates as escapes.

    The service sorts the members of its own shapes, but keeps the order inside a document (a tool's input).
    """
    try:
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(members, separators=(",", ":")).encode()


def _string_header(name: str, value: str) -> bytes:
    label, text = name.encode(), value.encode()
    return bytes((len(label),)) + label + bytes((STRING,)) + len(text).to_bytes(2, "big") + text
