"""Event-stream frames, read: bytes of `application/vnd.amazon.eventstream` come in, raw stream events go out.

Bytes may be cut anywhere. Out go the dicts that botocore's own parser gives, `{"contentBlockDelta": {...}}`, several
times faster, and what botocore loses stays visible: an event type that the service model does not know comes as
`{its name: its payload}`, an unknown member of a union as it is. Every frame passes both of its checksums before
anything in it is believed. An end that is no event (corrupt bytes, an exception frame) is remembered as `failure`,
after the events before it; from then on the decoder refuses to go on. Nothing is read from a socket here, no clock is
looked at, and which members an event has is handed in (`Model`).
"""

from __future__ import annotations

import functools
import json
import struct
from binascii import Error as Base64Error
from binascii import a2b_base64, crc32
from collections.abc import Callable, Mapping
from json.scanner import make_scanner
from struct import Struct
from typing import Any

from ..errors import CorruptStreamError
from ..values import field, frozen

Event = dict[str, Any]

PRELUDE_LENGTH = 12
"""Bytes of total length, header length, and the checksum of both."""

OVERHEAD = 16
"""Bytes of a frame that are neither headers nor payload: the prelude and the closing checksum."""

MAX_HEADERS_LENGTH = 128 * 1024
MAX_PAYLOAD_LENGTH = 24 * 1024 * 1024

REMEMBERED = 1024
"""Entries of a memory before it is emptied; a stream has 3 kinds of header block and some 200 preludes (recorded)."""

_unpack_prelude = Struct("!III").unpack
_unpack_checksum = Struct("!I").unpack_from
_scan_json = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # typeshed mistakes what it takes


class FrameError(CorruptStreamError):
    """The bytes are no event stream. `reason` is a word for programs, `values` the numbers or names behind it."""

    def __init__(self, message: str = "", reason: str = "frame", values: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.values = values


@frozen
class Fault:
    """A frame in which the service says that it failed; `members` are those of its payload beside the message."""

    code: str
    message: str
    members: Mapping[str, Any] = field(default_factory=dict)


# --- shapes -----------------------------------------------------------------------------------------------------------

Model = Mapping[str, tuple[Any, ...]]
"""The events of an operation: name -> description, which is one of

    ("value",)                              scalars and documents, taken as they are
    ("blob",)                               bytes
    ("parsed", function)                    what the function makes of the JSON value
    ("list", description), ("map", description)
    ("structure", members), ("union", members)

`members` is a function that gives {name on the wire: (name, description)}; it is asked when first needed, because most
of a service model (guardrail traces) is hardly ever seen."""

Shape = Callable[[Any], Any]
"""Turns a decoded JSON value into what botocore gives for a modelled member of that shape."""


def decoder_for(model: Model) -> Callable[[], FrameDecoder]:
    """What makes decoders for streams of those events."""
    shapes = {name: shape_of(description) for name, description in model.items()}
    return functools.partial(FrameDecoder, shapes)


def shape_of(description: tuple[Any, ...]) -> Shape:
    """The shape of a description."""
    kind, *details = description
    return _SHAPES[kind](*details)


class Structure:
    """An object with known members; nulls and unknown members are dropped.

    Of a union, unknown members stay: one of them may be all there is.
    """

    __slots__ = ("_describe", "_members", "_union")

    def __init__(self, describe: Callable[[], Mapping[str, tuple[str, Any]]], *, union: bool = False) -> None:
        self._describe = describe
        self._union = union
        self._members: dict[str, tuple[str, Shape]] | None = None

    def __call__(self, value: Any) -> dict[str, Any]:
        """The members that are set."""
        if not isinstance(value, dict):
            raise FrameError(f"an object is expected, not {type(value).__name__}")
        members = self._known()
        known = {
            name: shape(value[wire_name])
            for wire_name, (name, shape) in members.items()
            if value.get(wire_name) is not None
        }
        return {**_unknown(value, members), **known} if self._union else known

    def _known(self) -> dict[str, tuple[str, Shape]]:
        if self._members is None:
            self._members = {wire: (name, shape_of(member)) for wire, (name, member) in self._describe().items()}
        return self._members


def _unknown(value: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Members that the model does not know; `__type` is a note of the protocol."""
    return {name: item for name, item in value.items() if name not in known and item is not None and name != "__type"}


def _value(value: Any) -> Any:
    return value


def _blob(value: Any) -> bytes:
    try:
        return a2b_base64(value)
    except (Base64Error, TypeError, ValueError) as error:
        raise FrameError(f"a blob is no base64 text: {error}") from None


def _list_of(description: tuple[Any, ...]) -> Shape:
    shape = shape_of(description)

    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise FrameError(f"a list is expected, not {type(value).__name__}")
        return [None if item is None else shape(item) for item in value]

    return read


def _map_of(description: tuple[Any, ...]) -> Shape:
    shape = shape_of(description)

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise FrameError(f"an object is expected, not {type(value).__name__}")
        return {name: None if item is None else shape(item) for name, item in value.items()}

    return read


_SHAPES: dict[str, Callable[..., Shape]] = {
    "value": lambda: _value,
    "blob": lambda: _blob,
    "parsed": lambda function: function,
    "list": _list_of,
    "map": _map_of,
    "structure": Structure,
    "union": functools.partial(Structure, union=True),
}


# --- frames -----------------------------------------------------------------------------------------------------------


class FrameDecoder:
    """Decodes one stream; `shapes` are those of its events by name.

    `failure` is None, or why the decoder goes no further; `message_stopped` says that messageStop has been decoded,
    `leftover` how many bytes of an unfinished frame there are: at the end of input, the stream was cut if it is not 0.
    """

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.failure: FrameError | Fault | None = None
        self.message_stopped = False
        self._shapes = shapes
        self._pending = bytearray()
        self._needed = PRELUDE_LENGTH
        self._loads = hot_json()

    @property
    def leftover(self) -> int:
        """Bytes that belong to no whole frame."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes; look at `failure` after they are delivered."""
        events: list[Event] = []
        if self.failure is None and (ready := self._gathered(data) if self._pending else data):
            try:
                self._decode(ready, events)
            except FrameError as error:
                self.failure = error.with_traceback(None)  # which leads to this decoder: a knot for the collector
        return events

    def _gathered(self, data: bytes) -> bytes:
        """The bytes to decode next: nothing while the frame that they belong to is incomplete.

        Each byte is copied a fixed number of times, however finely the stream is cut.
        """
        pending = self._pending
        pending += data
        if len(pending) < self._needed:
            return b""
        self._pending = bytearray()
        return bytes(pending)

    def _decode(self, data: bytes, events: list[Event]) -> None:
        """Append the events of all whole frames in `data`, and keep what is left of it.

        The loop that every event goes through: names are local, and how a delta begins is remembered.
        """
        position, size, loads, known_delta = 0, len(data), self._loads, _DELTA_FRONTS.get
        self._needed = PRELUDE_LENGTH
        while size - position >= PRELUDE_LENGTH:
            known = known_delta(data[position : position + DELTA_FRONT_LENGTH])
            total, head_end, checksum = known or _read_prelude(data[position : position + PRELUDE_LENGTH])
            end = position + total
            if end > size:
                self._needed = total
                break
            tail, start = end - 4, position + head_end
            (expected,) = _unpack_checksum(data, tail)
            calculated = crc32(data[position + 8 : tail], checksum)
            if calculated != expected:
                raise _checksum_error(expected, calculated)
            payload = data[start:tail]
            is_delta = known is not None or _begins_delta(data[position:start])
            event = _hot_delta(payload, loads) if is_delta else None
            if event is None:
                event = self._event(data[position + PRELUDE_LENGTH : start], payload)
            if event is not None:
                events.append(event)
            elif self.failure is not None:
                return
            position = end
        if position < size:
            self._pending += data[position:]

    def _event(self, head: bytes, payload: bytes) -> Event | None:
        """The event of a frame; None for one without content, or with `failure` set for one that is a fault."""
        name = _NAMES.get(head)
        if name is None:
            headers = parse_headers(head)
            if headers.get(":message-type") in ("exception", "error"):
                self.failure = _fault(headers, payload, self._shapes)
                return None
            name = _remember_name(head, str(headers.get(":event-type", "")))
        shape = self._shapes.get(name)
        if shape is None:
            return _unknown_event(name, payload)
        self.message_stopped = self.message_stopped or name == "messageStop"
        try:
            return {name: shape(_read_json(payload))}
        except FrameError as error:
            raise FrameError(f"the payload of a {name} frame cannot be read: {error}") from None


def _hot_delta(payload: bytes, loads: Callable[[bytes], Any]) -> Event | None:
    """A delta of text, tool input or reasoning, of which streams consist; None where there is more to it."""
    try:
        members = loads(payload)
        index, delta = members["contentBlockIndex"], members["delta"]
        if len(delta) != 1 or type(index) is not int:
            return None
        if type(delta.get("text")) is not str:
            [kind] = delta
            value = delta[kind]
            if len(value) != 1 or type(value.get(_HOT_MEMBERS.get(kind))) is not str:
                return None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}


_HOT_MEMBERS = {"toolUse": "input", "reasoningContent": "text"}


def _unknown_event(name: str, payload: bytes) -> Event | None:
    """An event that the model does not know, its payload as bytes where that is no JSON.

    The greeting of protocols that have one, and frames without name and payload, say nothing.
    """
    if name == "initial-response" or not (name or payload):
        return None
    try:
        return {name: _read_json(payload)}
    except FrameError:
        return {name: payload}


def _fault(headers: Mapping[str, Any], payload: bytes, shapes: Mapping[str, Shape]) -> Fault:
    """What an exception or error frame says; a payload that is no JSON is taken as the message (as botocore does)."""
    try:
        said = _read_json(payload)
    except FrameError:
        said = payload.decode("utf-8", "replace")
    members = said if isinstance(said, dict) else {"message": said}
    code = headers.get(":exception-type") or headers.get(":error-code") or ""
    message = members.get("Message") or members.get("message") or headers.get(":error-message") or ""
    shape = shapes.get(str(code))
    kept = shape(members) if isinstance(shape, Structure) else members
    beside = {name: item for name, item in kept.items() if name.lower() != "message" and item is not None}
    return Fault(str(code), str(message), beside)


# --- prelude and headers ----------------------------------------------------------------------------------------------

_DELTA_FRONTS: dict[bytes, tuple[int, int, int]] = {}
"""What whole frames of deltas began with, prelude and headers -> total length, where the headers end, checksum."""

DELTA_FRONT_LENGTH = PRELUDE_LENGTH + 87
"""Of the one block of headers that deltas have (recorded)."""

_NAMES: dict[bytes, str] = {}
"""Header blocks of events -> the event's name; never those of faults."""


def _read_prelude(prelude: bytes) -> tuple[int, int, int]:
    """Total length, end of the headers and checksum of a frame, after the prelude's own check and the limits."""
    total, headers_length, checksum = _unpack_prelude(prelude)
    calculated = crc32(prelude[:8])
    if calculated != checksum:
        raise _checksum_error(checksum, calculated)
    payload_length = total - headers_length - OVERHEAD
    if headers_length > MAX_HEADERS_LENGTH:
        raise FrameError(f"headers of {headers_length} bytes are too long", "headers_length", (headers_length,))
    if payload_length > MAX_PAYLOAD_LENGTH:
        raise FrameError(f"a payload of {payload_length} bytes is too long", "payload_length", (payload_length,))
    if payload_length < 0:
        raise FrameError(f"a frame of {total} bytes cannot hold headers of {headers_length} bytes")
    return total, PRELUDE_LENGTH + headers_length, checksum


def _begins_delta(front: bytes) -> bool:
    """Whether a frame that passed its checks is a delta, by its prelude and headers; what is usual is remembered."""
    if _NAMES.get(front[PRELUDE_LENGTH:]) != "contentBlockDelta":
        return False
    if len(front) == DELTA_FRONT_LENGTH:
        _make_room(_DELTA_FRONTS)
        _DELTA_FRONTS[front] = _read_prelude(front[:PRELUDE_LENGTH])
    return True


def _remember_name(head: bytes, name: str) -> str:
    _make_room(_NAMES)
    _NAMES[bytes(head)] = name
    return name


def _make_room(memory: dict[Any, Any]) -> None:
    if len(memory) >= REMEMBERED:
        memory.clear()


def _checksum_error(expected: int, calculated: int) -> FrameError:
    text = f"the checksum of a frame is 0x{expected:08x}, its bytes give 0x{calculated:08x}"
    return FrameError(text, "checksum", (expected, calculated))


def parse_headers(block: bytes) -> dict[str, Any]:
    """The headers of a frame: name -> value of one of the ten types."""
    headers: dict[str, Any] = {}
    position = 0
    try:
        while position < len(block):
            name_end = position + 1 + block[position]
            name = block[position + 1 : name_end].decode()
            read, size = _HEADER_TYPES[block[name_end]]
            value, position = read(block, name_end + 1, size)
            if position > len(block):
                raise FrameError("a header is longer than the headers")
            if name in headers:
                raise FrameError(f"the header {name!r} stands twice in a frame", "duplicate_header", (name,))
            headers[name] = value
    except (LookupError, struct.error, UnicodeDecodeError) as error:
        raise FrameError(f"the headers of a frame cannot be read: {error!r}") from None
    return headers


HeaderReader = Callable[[bytes, int, Any], tuple[Any, int]]


def _given(_block: bytes, position: int, value: Any) -> tuple[Any, int]:
    return value, position


def _number(block: bytes, position: int, layout: Struct) -> tuple[int, int]:
    return layout.unpack_from(block, position)[0], position + layout.size


def _bytes(block: bytes, position: int, layout: Struct) -> tuple[bytes, int]:
    (length,), start = layout.unpack_from(block, position), position + layout.size
    return block[start : start + length], start + length


def _string(block: bytes, position: int, layout: Struct) -> tuple[str, int]:
    found, end = _bytes(block, position, layout)
    return found.decode(), end


def _uuid(block: bytes, position: int, length: int) -> tuple[bytes, int]:
    return block[position : position + length], position + length


_HEADER_TYPES: dict[int, tuple[HeaderReader, Any]] = {
    0: (_given, True),
    1: (_given, False),
    2: (_number, Struct("!b")),
    3: (_number, Struct("!h")),
    4: (_number, Struct("!i")),
    5: (_number, Struct("!q")),
    6: (_bytes, Struct("!H")),
    7: (_string, Struct("!H")),
    8: (_number, Struct("!q")),  # milliseconds since 1970
    9: (_uuid, 16),
}


# --- payloads ---------------------------------------------------------------------------------------------------------


def _read_json(payload: bytes) -> Any:
    """The JSON value of a payload, an empty one being `{}`."""
    if not payload:
        return {}
    try:
        return _loads(payload)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"it is no JSON ({type(error).__name__})") from None


def _loads(payload: bytes) -> Any:
    """As `json.loads`, at a third of its cost where nothing stands around the value."""
    text = payload.decode()
    try:
        value, end = _scan_json(text, 0)
    except StopIteration:
        return json.loads(text)
    return value if end == len(text) else json.loads(text)


@functools.cache
def hot_json() -> Callable[[bytes], Any]:
    """What reads the deltas: orjson where it is installed.

    It only sees values that mean the same to both: a big number or a lone surrogate goes to the standard library.
    """
    try:
        import orjson
    except ImportError:
        return _loads
    return orjson.loads
