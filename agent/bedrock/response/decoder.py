"""Converse's raw stream events, or a whole answer, told in the one vocabulary of `events`.

In comes what boto3 hands over: dicts with one key. Out go tuples of events, mostly of one. Text and reasoning blocks
come without `contentBlockStart` (recorded), deltas of several blocks may interleave, and unknown words are told as
`UnknownEvent`, never dropped. The only state is for events without `contentBlockIndex`, which the service never sends
but hand-made streams do: they count up in the order of arrival.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from .events import (
    BlockStop,
    Citation,
    Event,
    ImageDelta,
    ImageStart,
    MessageStart,
    MessageStop,
    Metadata,
    NativeBlock,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
    ServerToolResultDelta,
    ServerToolResultStart,
    StreamFault,
    StreamRestarted,
    StreamResumed,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
    UnknownEvent,
)

Events = tuple[Event, ...]
Raw = Mapping[str, Any]

_NO_NAMES: Mapping[str, str] = {}
_UNKNOWN_MEMBER = "SDK_UNKNOWN_MEMBER"


class Decoder:
    """Decodes the raw events of one stream; `tool_names` gives the caller's names back for the aliases on the wire."""

    def __init__(self, tool_names: Mapping[str, str] = _NO_NAMES) -> None:
        self._tool_names = tool_names
        self._arrivals = _Arrivals()

    def __call__(self, raw: Raw) -> Events:
        """The events that one raw stream event tells."""
        delta = raw.get("contentBlockDelta")
        if delta is not None and len(raw) == 1:
            return self._delta(delta)  # what comes by the thousand takes the shortest way
        return tuple(event for name, payload in raw.items() for event in self._one(name, payload))

    def _one(self, name: str, payload: Any) -> Events:
        decode = self._STREAM_EVENTS.get(name)
        if decode is not None:
            return decode(self, payload)
        if name.endswith("Exception"):
            return (StreamFault(name, str(payload.get("message") or payload.get("Message") or "")),)
        return (_unknown(name, payload),)

    def _message_start(self, payload: Raw) -> Events:
        return (MessageStart(payload.get("role", "assistant")),)

    def _block_start(self, payload: Raw) -> Events:
        start = payload.get("start") or {}
        block = payload.get("contentBlockIndex")
        block = self._arrivals.start(next(iter(start), "text"), block)
        return tuple(event for member, value in start.items() for event in self._start_member(block, member, value))

    def _start_member(self, block: int, member: str, value: Any) -> Events:
        if member == "toolUse":
            return (self._tool_call_start(block, value),)
        if member == "toolResult":
            return (ServerToolResultStart(block, dict(value)),)
        if member == "image":
            return (ImageStart(block, value.get("format", "")),)
        return () if member == "text" else (_unknown(f"contentBlockStart.{member}", value),)

    def _tool_call_start(self, block: int, value: Raw) -> ToolCallStart:
        name = value.get("name", "")
        return ToolCallStart(block, value.get("toolUseId", ""), self._tool_names.get(name, name), value.get("type"))

    def _delta(self, payload: Raw) -> Events:
        delta = payload.get("delta") or {}
        block = payload.get("contentBlockIndex")
        if block is None:
            block = self._arrivals.delta(next(iter(delta), "text"))
        if len(delta) == 1:
            [member] = delta
            if member == "text":
                return (TextDelta(block, delta[member]),)
            decode = _DELTAS.get(member)
            if decode is not None:
                return decode(block, delta[member])
        return tuple(event for member, value in delta.items() for event in _delta_member(block, member, value))

    def _block_stop(self, payload: Raw) -> Events:
        block = payload.get("contentBlockIndex")
        return (BlockStop(self._arrivals.stop() if block is None else block),)

    def _message_stop(self, payload: Raw) -> Events:
        return (MessageStop(payload.get("stopReason") or "", payload.get("additionalModelResponseFields")),)

    def _metadata(self, payload: Raw) -> Events:
        return (_metadata_of(payload),)

    def _restarted(self, payload: Raw) -> Events:
        return (StreamRestarted(payload["attempt"], payload["reason"]),)

    def _resumed(self, payload: Raw) -> Events:
        return (StreamResumed(payload["attempt"], payload["reason"]),)

    def whole(self, response: Raw) -> Iterator[Event]:
        """The events that a whole answer of `converse` tells, in the order in which a stream would tell them."""
        message = (response.get("output") or {}).get("message") or {}
        yield MessageStart(message.get("role", "assistant"))
        for index, block in enumerate(message.get("content") or ()):
            yield from self._whole_block(index, block)
        stop_reason = response.get("stopReason")
        if stop_reason:
            yield MessageStop(stop_reason, response.get("additionalModelResponseFields"))
        if "usage" in response or "metrics" in response:
            yield _metadata_of(response)

    def _whole_block(self, index: int, block: Raw) -> Iterator[Event]:
        if _UNKNOWN_MEMBER in block:
            yield _unknown("content", block)
            return
        for member, value in block.items():
            tell = self._WHOLE_BLOCKS.get(member)
            if tell is not None:
                yield from tell(self, index, value)
            else:
                yield NativeBlock(index, {member: value})
        yield BlockStop(index, verbatim=block)

    def _whole_text(self, index: int, text: Any) -> Events:
        return (TextDelta(index, text),)

    def _whole_reasoning(self, index: int, value: Raw) -> Events:
        # Hand-made answers keep text and signature directly under reasoningContent (the seed's fixtures do).
        reasoning = value.get("reasoningText") or {name: value[name] for name in ("text", "signature") if name in value}
        events: list[Event] = []
        if "text" in reasoning:
            events.append(ReasoningDelta(index, reasoning["text"]))
        if reasoning.get("signature"):
            events.append(ReasoningSignature(index, reasoning["signature"]))
        if value.get("redactedContent"):
            events.append(RedactedReasoning(index, value["redactedContent"]))
        return tuple(events)

    def _whole_tool_use(self, index: int, value: Raw) -> Events:
        arguments = value.get("input")
        text = arguments if isinstance(arguments, str) else json.dumps({} if arguments is None else arguments)
        return (self._tool_call_start(index, value), ToolArgumentsDelta(index, text))

    def _whole_tool_result(self, index: int, value: Raw) -> Events:
        head = {name: item for name, item in value.items() if name != "content"}
        return (ServerToolResultStart(index, head), ServerToolResultDelta(index, tuple(value.get("content") or ())))

    def _whole_citations(self, index: int, value: Raw) -> Events:
        texts = tuple(TextDelta(index, part.get("text", "")) for part in value.get("content") or ())
        return texts + tuple(Citation(index, citation) for citation in value.get("citations") or ())

    def _whole_image(self, index: int, value: Raw) -> Events:
        rest = {name: item for name, item in value.items() if name != "format"}
        return (ImageStart(index, value.get("format", "")), ImageDelta(index, rest))

    _STREAM_EVENTS: ClassVar[dict[str, Callable[[Any, Any], Events]]] = {
        "contentBlockDelta": _delta,
        "contentBlockStart": _block_start,
        "contentBlockStop": _block_stop,
        "messageStart": _message_start,
        "messageStop": _message_stop,
        "metadata": _metadata,
        # No event of the service: the guarded client's own words (`aws.resume`).
        "streamRestarted": _restarted,
        "streamResumed": _resumed,
    }

    _WHOLE_BLOCKS: ClassVar[dict[str, Callable[[Any, int, Any], Events]]] = {
        "text": _whole_text,
        "reasoningContent": _whole_reasoning,
        "toolUse": _whole_tool_use,
        "toolResult": _whole_tool_result,
        "citationsContent": _whole_citations,
        "image": _whole_image,
    }


def _delta_member(block: int, member: str, value: Any) -> Events:
    decode = _DELTAS.get(member)
    return (_unknown(f"contentBlockDelta.{member}", value),) if decode is None else decode(block, value)


def _reasoning_delta(block: int, value: Raw) -> Events:
    if len(value) == 1 and "text" in value:
        return (ReasoningDelta(block, value["text"]),)
    return tuple(
        _REASONING_DELTAS[member](block, item)
        if member in _REASONING_DELTAS
        else _unknown(f"reasoningContent.{member}", item)
        for member, item in value.items()
    )


def _metadata_of(payload: Raw) -> Metadata:
    return Metadata(
        usage=payload.get("usage") or {},
        latency_ms=(payload.get("metrics") or {}).get("latencyMs"),
        trace=payload.get("trace"),
        performance_config=payload.get("performanceConfig"),
        service_tier=payload.get("serviceTier"),
        other={name: value for name, value in payload.items() if name not in _KNOWN_MEMBERS},
    )


def _unknown(name: str, payload: Any) -> UnknownEvent:
    if isinstance(payload, Mapping) and _UNKNOWN_MEMBER in payload:
        return UnknownEvent(f"{name}.{payload[_UNKNOWN_MEMBER].get('name')}", payload)
    return UnknownEvent(name, payload)


class _Arrivals:
    """Numbers the blocks of a stream whose events carry no index."""

    def __init__(self) -> None:
        self._latest = -1
        self._open: str | None = None

    def start(self, kind: str, index: int | None = None) -> int:
        self._latest = self._latest + 1 if index is None else index
        self._open = kind
        return self._latest

    def delta(self, kind: str) -> int:
        same_block = self._open == kind or (self._open is not None and kind == "citation")
        return self._latest if same_block else self.start(kind)

    def stop(self) -> int:
        self._open = None
        return self._latest


_KNOWN_MEMBERS = frozenset(
    {
        "output",
        "stopReason",
        "additionalModelResponseFields",
        "usage",
        "metrics",
        "trace",
        "performanceConfig",
        "serviceTier",
        "ResponseMetadata",
    }
)

_DELTAS: dict[str, Callable[[int, Any], Events]] = {
    "text": lambda block, text: (TextDelta(block, text),),
    "toolUse": lambda block, value: (ToolArgumentsDelta(block, value.get("input", "")),),
    "reasoningContent": _reasoning_delta,
    "toolResult": lambda block, parts: (ServerToolResultDelta(block, tuple(parts)),),
    "citation": lambda block, citation: (Citation(block, citation),),
    "image": lambda block, image: (ImageDelta(block, image),),
    _UNKNOWN_MEMBER: lambda _block, member: (_unknown("contentBlockDelta", {_UNKNOWN_MEMBER: member}),),
}

_REASONING_DELTAS: dict[str, Callable[[int, Any], Event]] = {
    "text": ReasoningDelta,
    "signature": ReasoningSignature,
    "redactedContent": RedactedReasoning,
}


def events_from_response(response: Raw, tool_names: Mapping[str, str] = _NO_NAMES) -> Iterator[Event]:
    """The events that a whole answer of `converse` tells."""
    return Decoder(tool_names).whole(response)


def events_from_stream(stream: Any, tool_names: Mapping[str, str] = _NO_NAMES) -> Iterator[Event]:
    """The events of an iterable of raw stream events; for tests and offline use, the road itself decodes in place."""
    decode = Decoder(tool_names)
    for raw in stream:
        yield from decode(raw)
