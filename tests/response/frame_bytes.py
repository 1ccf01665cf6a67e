"""Frames for tests of their readers, written by hand, and what botocore's own parser makes of them."""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import botocore.session
import pytest
from botocore.eventstream import EventStream
from botocore.parsers import EventStreamJSONParser

from agent.bedrock.aws.stream import event_model
from agent.bedrock.response.frames import Fault, FrameDecoder, FrameError, decoder_for
from agent.bedrock.testing.frames import event_frame

JSON_HEADERS = (":content-type", 7, "application/json")

HeaderRow = tuple[str, int, Any]
"""Name, type 0 to 9, value."""

_NUMBERS = {2: "!b", 3: "!h", 4: "!i", 5: "!q", 8: "!q"}


def header(name: str, kind: int, value: Any = None) -> bytes:
    """One header of any of the ten types."""
    label = name.encode()
    head = bytes((len(label),)) + label + bytes((kind,))
    if kind in (0, 1):
        return head
    if kind in _NUMBERS:
        return head + struct.pack(_NUMBERS[kind], value)
    data = value.encode() if isinstance(value, str) else value
    return head + (data if kind == 9 else len(data).to_bytes(2, "big") + data)


def encode(headers: Iterable[HeaderRow] | bytes, payload: bytes = b"", **wrong: int) -> bytes:
    """A frame; `total`, `headers_length`, `prelude_crc`, `crc` write something else than what is right."""
    block = headers if isinstance(headers, bytes) else b"".join(header(*row) for row in headers)
    total = wrong.get("total", 16 + len(block) + len(payload))
    prelude = struct.pack("!II", total, wrong.get("headers_length", len(block)))
    start = prelude + struct.pack("!I", wrong.get("prelude_crc", crc32(prelude))) + block + payload
    return start + struct.pack("!I", wrong.get("crc", crc32(start)))


def event(name: str, payload: bytes) -> bytes:
    """The frame of an event with a payload of our own writing."""
    return encode(((":event-type", 7, name), JSON_HEADERS, (":message-type", 7, "event")), payload)


def exception(name: str, payload: bytes) -> bytes:
    """The frame of an exception with a payload of our own writing."""
    return encode(((":exception-type", 7, name), JSON_HEADERS, (":message-type", 7, "exception")), payload)


SHORT_STREAM: Sequence[bytes] = (
    event_frame("messageStart", {"role": "assistant"}, padding=5),
    event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hé"}}, padding=2),
    event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "llo"}}, padding=61),
    event_frame("contentBlockStop", {"contentBlockIndex": 0}),
    event_frame("messageStop", {"stopReason": "end_turn"}, padding=9),
    event_frame("metadata", {"usage": {"inputTokens": 1}, "metrics": {"latencyMs": 2}, "p": "ab"}),
)


@dataclass
class Outcome:
    """What a reader gave: events, then the name and arguments of an error, if any, and whether bytes were left over."""

    events: list[Any] = field(default_factory=list)
    error: tuple[str, Any] | None = None
    leftover: bool = False


@cache
def operation_model() -> Any:
    service = botocore.session.Session().get_service_model("bedrock-runtime")
    return service.operation_model("ConverseStream")


@cache
def _decoder() -> Callable[[], FrameDecoder]:
    model = event_model(operation_model())
    assert model is not None
    return decoder_for(model)


def new_decoder() -> FrameDecoder:
    """A decoder of Converse streams."""
    return _decoder()()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes, cut at these places."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def _knows_todays_deltas() -> bool:
    events = operation_model().output_shape.members["stream"].members
    return "image" in events["contentBlockDelta"].members["delta"].members


compares_with_todays_botocore = pytest.mark.skipif(
    not _knows_todays_deltas(), reason="an older botocore knows fewer members, and checks a prelude last"
)


class _Source:
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def stream(self) -> Iterable[bytes]:
        return iter(self._pieces)


def botocores(pieces: Sequence[bytes]) -> Outcome:
    """What botocore's parser gives for these bytes."""
    outcome = Outcome()
    shape = operation_model().output_shape.members["stream"]
    stream = EventStream(_Source(pieces), shape, EventStreamJSONParser(), "ConverseStream")
    try:
        outcome.events.extend(stream)
    except Exception as error:  # noqa: BLE001 - its parser lets whatever it stumbles over through
        said = error.response["Error"] if hasattr(error, "response") else error.args
        outcome.error = (type(error).__name__, said)
    return outcome


_BOTOCORE_NAMES = {
    "checksum": "ChecksumMismatch",
    "headers_length": "InvalidHeadersLength",
    "payload_length": "InvalidPayloadLength",
    "duplicate_header": "DuplicateHeader",
}


def ours(pieces: Sequence[bytes]) -> Outcome:
    """What our decoder gives, its failures under botocore's names."""
    decoder, outcome = new_decoder(), Outcome()
    for piece in pieces:
        outcome.events.extend(decoder.feed(piece))
    failure = decoder.failure
    if isinstance(failure, Fault):
        outcome.error = ("EventStreamError", {"Code": failure.code, "Message": failure.message})
    elif failure is not None:
        outcome.error = _named(failure)
    outcome.leftover = bool(decoder.leftover)
    return outcome


def _named(failure: FrameError) -> tuple[str, Any]:
    from botocore import eventstream

    name = _BOTOCORE_NAMES.get(failure.reason)
    return (name, getattr(eventstream, name)(*failure.values).args) if name else ("FrameError", str(failure))
