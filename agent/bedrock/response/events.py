"""The one vocabulary in which an answer is told, whether it came whole or as a stream.

`block` is always Converse's `contentBlockIndex`. An answer is complete when a `MessageStop` was seen. The values are
frozen and know nothing of OpenAI; every face (callbacks, chunks, server-sent events) reads these and nothing else. Their
reprs show sizes, never content. What all have in common stands in one base, not in each: generating it for twenty classes
would take 5 ms of every process's start (measured 2026-11-20).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..values import field, frozen


class Told:
    """Equality, hash and repr of all events."""

    __slots__: tuple[str, ...] = ()

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(value)}" for name, value in zip(self.__slots__, self._values(), strict=True))
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, int):
        return repr(value)
    return f"<{type(value).__name__} of {len(value)}>" if hasattr(value, "__len__") else f"<{type(value).__name__}>"


@frozen(eq=False, repr=False)
class MessageStart(Told):
    """The answer begins; `role` is "assistant" in all that was ever recorded."""

    role: str


@frozen(eq=False, repr=False)
class TextDelta(Told):
    """A piece of visible text, cited text included."""

    block: int
    text: str


@frozen(eq=False, repr=False)
class ReasoningDelta(Told):
    """A piece of the model's reasoning text."""

    block: int
    text: str


@frozen(eq=False, repr=False)
class ReasoningSignature(Told):
    """The signature that makes a reasoning block replayable; it comes after the block's text."""

    block: int
    signature: str


@frozen(eq=False, repr=False)
class RedactedReasoning(Told):
    """Reasoning that only the service can read; opaque bytes, to be replayed as they are."""

    block: int
    data: bytes


@frozen(eq=False, repr=False)
class ToolCallStart(Told):
    """A tool call begins; `type` is "server_tool_use" where the service runs the tool, else None or the wire's word."""

    block: int
    id: str
    name: str
    type: str | None = None

    @property
    def runs_on_server(self) -> bool:
        """Whether the service itself answers this call, so that no client may."""
        return self.type == SERVER_TOOL_USE


SERVER_TOOL_USE = "server_tool_use"


@frozen(eq=False, repr=False)
class ToolArgumentsDelta(Told):
    """A piece of the JSON text of a tool call's arguments."""

    block: int
    text: str


@frozen(eq=False, repr=False)
class ServerToolResultStart(Told):
    """The result of a tool that the service ran begins; `head` holds its toolUseId, type and status."""

    block: int
    head: Mapping[str, Any]


@frozen(eq=False, repr=False)
class ServerToolResultDelta(Told):
    """Parts of a server tool's result: Converse's list of {"text": ...} and {"json": ...}."""

    block: int
    parts: tuple[Mapping[str, Any], ...]


@frozen(eq=False, repr=False)
class Citation(Told):
    """A source of the block's text, as the service words it (title, source, sourceContent, location)."""

    block: int
    citation: Mapping[str, Any]


@frozen(eq=False, repr=False)
class ImageStart(Told):
    """An image begins; `format` is png, jpeg, gif or webp."""

    block: int
    format: str


@frozen(eq=False, repr=False)
class ImageDelta(Told):
    """A piece of an image: {"source": {"bytes": ...}} or {"error": ...}."""

    block: int
    image: Mapping[str, Any]


@frozen(eq=False, repr=False)
class NativeBlock(Told):
    """A content block that has no streamed form of its own (video, document, one of tomorrow), as it came."""

    block: int
    content: Mapping[str, Any]


@frozen(eq=False, repr=False)
class BlockStop(Told):
    """The block is complete. `verbatim` is the block itself where it came whole, so that nothing of it is lost."""

    block: int
    verbatim: Mapping[str, Any] | None = None


@frozen(eq=False, repr=False)
class MessageStop(Told):
    """The proof that the answer is complete."""

    stop_reason: str
    additional_fields: Any = None


@frozen(eq=False, repr=False)
class Metadata(Told):
    """Counters and traces: the members of Converse's metadata event, or of a whole answer beside its output."""

    usage: Mapping[str, Any]
    latency_ms: int | None = None
    trace: Mapping[str, Any] | None = None
    performance_config: Mapping[str, Any] | None = None
    service_tier: Mapping[str, Any] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)


@frozen(eq=False, repr=False)
class StreamFault(Told):
    """The service reported a fault as an event of the stream (botocore raises these; plain iterables hold them)."""

    code: str
    message: str


@frozen(eq=False, repr=False)
class UnknownEvent(Told):
    """An event, delta or start that this version does not know; counted, kept, never fatal."""

    name: str
    payload: Any


@frozen(eq=False, repr=False)
class StreamRestarted(Told):
    """All that was shown so far is void: the turn begins again (opt-in `resume`); `reason` is a failure kind."""

    attempt: int
    reason: str


@frozen(eq=False, repr=False)
class StreamResumed(Told):
    """The answer goes on where it broke off (opt-in `resume`); what was shown stays valid."""

    attempt: int
    reason: str


Event = (
    MessageStart
    | TextDelta
    | ReasoningDelta
    | ReasoningSignature
    | RedactedReasoning
    | ToolCallStart
    | ToolArgumentsDelta
    | ServerToolResultStart
    | ServerToolResultDelta
    | Citation
    | ImageStart
    | ImageDelta
    | NativeBlock
    | BlockStop
    | MessageStop
    | Metadata
    | StreamFault
    | UnknownEvent
    | StreamRestarted
    | StreamResumed
)
