"""Content blocks of an answer: one description each, two forms on the wire.

A block says how it stands in a whole answer (`whole`: the JSON of one content block) and how a stream carries it
(`events`: event name and members, in order). Binary data are bytes here and base64 on the wire. Where the service
sends no `contentBlockStart` (text, reasoning, citations), none is sent here either (recorded 2025).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

Json = Any
"""Whatever `json` can write."""

Members = Mapping[str, Json]
"""The members of an event or a block, as they stand on the wire."""

WireEvent = tuple[str, Members]
"""The name of a stream event and its members."""

DELTA_SIZE = 16
"""Characters in a delta where the script does not say: the mean of the recorded text deltas."""


class Block(Protocol):
    """One content block of an answer."""

    def whole(self) -> Members | None:
        """The block as a whole answer has it; None if only streams have it."""

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """The events that carry the block at `index`, with deltas of `size` characters (None: as the service does)."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text; a sequence of strings says exactly where the deltas are cut."""

    text: str | Sequence[str]

    def whole(self) -> Members:
        """`{"text": ...}`."""
        return {"text": _joined(self.text)}

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """Text deltas, without a start."""
        for piece in _pieces(self.text, size or DELTA_SIZE):
            yield _delta(index, {"text": piece})
        yield _stop(index)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Reasoning text and its signature, which a stream carries as one more delta of the same block."""

    text: str | Sequence[str]
    signature: str | None = None

    def whole(self) -> Members:
        """`{"reasoningContent": {"reasoningText": ...}}`."""
        signed = {} if self.signature is None else {"signature": self.signature}
        return {"reasoningContent": {"reasoningText": {**signed, "text": _joined(self.text)}}}

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """Text deltas, then the signature, without a start."""
        for piece in _pieces(self.text, size or DELTA_SIZE):
            yield _delta(index, {"reasoningContent": {"text": piece}})
        if self.signature is not None:
            yield _delta(index, {"reasoningContent": {"signature": self.signature}})
        yield _stop(index)


@dataclass(frozen=True, slots=True)
class Redacted:
    """Reasoning that came encrypted."""

    data: bytes

    def whole(self) -> Members:
        """`{"reasoningContent": {"redactedContent": base64}}`."""
        return {"reasoningContent": {"redactedContent": _base64(self.data)}}

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """One delta with all of the data."""
        yield _delta(index, {"reasoningContent": {"redactedContent": _base64(self.data)}})
        yield _stop(index)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool.

    `input` is the arguments as data, or the JSON text itself, broken if the test wants it so; a sequence in `pieces`
    says exactly how a stream cuts that text, `()` that it sends none. `id` None: the stand-in numbers it. `type` is
    "tool_use" on newer Claude models, "server_tool_use" for a tool that the service runs itself.
    """

    name: str
    input: Json = field(default_factory=dict)
    id: str | None = None
    type: str | None = None
    pieces: Sequence[str] | None = None

    @property
    def text(self) -> str:
        """The arguments as JSON text."""
        return self.input if isinstance(self.input, str) else json.dumps(self.input, separators=(",", ":"))

    def numbered(self, serial: int) -> ToolCall:
        """The same call with an id of the service's form, if it has none yet."""
        return self if self.id is not None else replace(self, id=f"tooluse_{serial:022}")

    def whole(self) -> Members:
        """`{"toolUse": ...}`; broken JSON stays a string, as a whole answer could carry it."""
        return {"toolUse": {"input": _parsed(self.text), "name": self.name, **self._identity()}}

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """A start, the arguments as JSON text (in one delta where nothing else is asked for), a stop."""
        yield _start(index, {"toolUse": {"name": self.name, **self._identity()}})
        pieces = self.pieces if self.pieces is not None else _pieces(self.text, size or max(len(self.text), 1))
        for piece in pieces:
            yield _delta(index, {"toolUse": {"input": piece}})
        yield _stop(index)

    def _identity(self) -> Members:
        kind = {} if self.type is None else {"type": self.type}
        return {"toolUseId": self.id or "", **kind}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool that the service ran itself, in the assistant's own message (Nova's code interpreter)."""

    id: str
    content: Sequence[Members] = ()
    status: str | None = "success"
    type: str | None = "nova_code_interpreter_result"

    def whole(self) -> Members:
        """`{"toolResult": ...}`."""
        return {"toolResult": {"content": list(self.content), **self._identity()}}

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """A start, one delta that is a list, a stop."""
        yield _start(index, {"toolResult": self._identity()})
        if self.content:
            yield _delta(index, {"toolResult": list(self.content)})
        yield _stop(index)

    def _identity(self) -> dict[str, Json]:
        named = {"status": self.status, "toolUseId": self.id, "type": self.type}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Cited:
    """Text with citations: each a dict of `title`, `source`, `sourceContent`, `location`."""

    text: str | Sequence[str]
    citations: Sequence[Members] = ()

    def whole(self) -> Members:
        """`{"citationsContent": ...}`."""
        return {"citationsContent": {"citations": list(self.citations), "content": [{"text": _joined(self.text)}]}}

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """Text deltas, then a delta per citation, without a start."""
        for piece in _pieces(self.text, size or DELTA_SIZE):
            yield _delta(index, {"text": piece})
        for citation in self.citations:
            yield _delta(index, {"citation": dict(citation)})
        yield _stop(index)


@dataclass(frozen=True, slots=True)
class Image:
    """A generated picture; a sequence of bytes says how a stream cuts it, `error` that there is none and why."""

    format: str
    data: bytes | Sequence[bytes] = b""
    error: str | None = None

    def whole(self) -> Members:
        """`{"image": ...}`."""
        data = self.data if isinstance(self.data, bytes) else b"".join(self.data)
        failed = {} if self.error is None else {"error": {"message": self.error}}
        return {"image": {**failed, "format": self.format, "source": {"bytes": _base64(data)}}}

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """A start, the bytes, the error if any, a stop."""
        yield _start(index, {"image": {"format": self.format}})
        for piece in (self.data,) if isinstance(self.data, bytes) else self.data:
            yield _delta(index, {"image": {"source": {"bytes": _base64(piece)}}})
        if self.error is not None:
            yield _delta(index, {"image": {"error": {"message": self.error}}})
        yield _stop(index)


@dataclass(frozen=True, slots=True)
class Native:
    """Any block, written out; `deltas` (and `start`) say how a stream carries it, and without them no stream can."""

    block: Members
    deltas: Sequence[Members] | None = None
    start: Members | None = None

    def whole(self) -> Members:
        """The block as given."""
        return self.block

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """The deltas as given."""
        if self.deltas is None:
            raise ValueError(f"only a whole answer can carry the block {', '.join(self.block)}: give it deltas")
        if self.start is not None:
            yield _start(index, self.start)
        for delta in self.deltas:
            yield _delta(index, delta)
        yield _stop(index)


@dataclass(frozen=True, slots=True)
class Event:
    """A raw stream event among the blocks, modelled or not; a whole answer leaves it out."""

    name: str
    members: Members = field(default_factory=dict)

    def whole(self) -> None:
        """Nothing: whole answers have no events."""
        return

    def events(self, index: int, size: int | None) -> Iterator[WireEvent]:
        """The event as given."""
        yield self.name, self.members


def _start(index: int, start: Members) -> WireEvent:
    return "contentBlockStart", {"contentBlockIndex": index, "start": start}


def _delta(index: int, delta: Members) -> WireEvent:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def _stop(index: int) -> WireEvent:
    return "contentBlockStop", {"contentBlockIndex": index}


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _pieces(text: str | Sequence[str], size: int) -> Sequence[str]:
    """The deltas of a text: as given, or cut every `size` characters; an empty text is one empty delta."""
    if not isinstance(text, str):
        return text
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def _parsed(text: str) -> Json:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
