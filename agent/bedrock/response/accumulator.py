"""The fold: events in, one completion out. The only mutable state of the response room.

State is kept per kind of block and `contentBlockIndex`, so that interleaved deltas cannot mix. Pieces are gathered in
lists and joined once. Nothing is judged here: `complete` says whether the proof of completeness was seen, and
`completion()` can be asked at any time, also for the part of an answer that came before a fault.
Not thread-safe: one accumulator belongs to one answer and to the thread that reads it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, TypeVar

from ..blocks import Block, is_too_deep, json_safe
from .completion import (
    OPENAI_SERVICE_TIERS,
    BedrockDetails,
    Choice,
    Completion,
    FinishReason,
    Function,
    Message,
    ToolCall,
    finish_reason,
    usage_of,
)
from .events import (
    SERVER_TOOL_USE,
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

_KEPT_UNKNOWN_EVENTS = 100

REASONING_FORMAT = "anthropic-claude-v1"
"""OpenRouter's name for the shape of `reasoning_details`."""


class Accumulator:
    """Folds the events of one answer into a `Completion`."""

    def __init__(
        self,
        *,
        model: str = "",
        completion_id: str = "",
        created: int = 0,
        request_id: str | None = None,
        repairs: Iterable[Mapping[str, Any]] = (),
        reasoning_format: str = REASONING_FORMAT,
        answers_by_tool: bool = False,
        record: Any = None,
    ) -> None:
        self.model = model
        self.completion_id = completion_id
        self.created = created
        self.request_id = request_id
        self.repairs = [dict(repair) for repair in repairs]
        self._reasoning_format = reasoning_format
        self._answers_by_tool = answers_by_tool
        self._record = record
        """What happened on the way: attempts, learned, fallback; it may change while events come."""
        self._forget()

    def _forget(self) -> None:
        self._text = _Blocks(_TextBlock)
        self._reasoning = _Blocks(_ReasoningBlock)
        self._tools = _Blocks(_ToolBlock)
        self._results = _Blocks(_ResultBlock)
        self._images = _Blocks(_ImageBlock)
        self._native = _Blocks(_NativeBlock)
        self._stop: MessageStop | None = None
        self._metadata: Metadata | None = None
        self._unknown: dict[str, int] = {}
        self._unknown_events: list[dict[str, Any]] = []
        self.fault: StreamFault | None = None

    def feed(self, event: Event) -> None:
        """Take in one event."""
        self._FEEDERS[type(event)](self, event)

    @property
    def complete(self) -> bool:
        """Whether the proof of completeness (`MessageStop`) was seen."""
        return self._stop is not None

    @property
    def stop_reason(self) -> str | None:
        """Converse's own word for why the answer ended, None while it has not."""
        return None if self._stop is None else self._stop.stop_reason

    @property
    def began(self) -> bool:
        """Whether any content has arrived."""
        return any((self._text, self._reasoning, self._tools, self._results, self._images, self._native))

    def completion(self, *, interrupted: bool = False) -> Completion:
        """What has arrived so far as an OpenAI-shaped completion."""
        blocks = self._blocks_in_order()
        message = self._message(blocks)
        stop = self._stop or MessageStop("")
        metadata = self._metadata or Metadata({})
        tier = (metadata.service_tier or {}).get("type")
        return Completion(
            id=self.completion_id,
            object="chat.completion",
            created=self.created,
            model=self.model,
            choices=[
                Choice(
                    index=0,
                    message=message,
                    finish_reason=self._finish_reason(message, interrupted=interrupted),
                    logprobs=None,
                )
            ],
            usage=usage_of(metadata.usage),
            service_tier=tier if tier in OPENAI_SERVICE_TIERS else None,
            system_fingerprint=None,
            bedrock=self._details(stop, metadata, interrupted),
        )

    def _finish_reason(self, message: Message, *, interrupted: bool) -> FinishReason:
        # Where a tool of the builder's was the way to answer, stopping for it is no call for the caller to run.
        answered = self._answers_by_tool and self.stop_reason == "tool_use" and not message.tool_calls
        if interrupted or answered:
            return "stop"
        return finish_reason(self.stop_reason, has_tool_calls=bool(message.tool_calls))

    def _blocks_in_order(self) -> list[_Block]:
        # A list first, in one go: another thread may be feeding (`ChatStream.partial`).
        return sorted((block for kind in self._kinds() for block in list(kind.values())), key=attrgetter("index"))

    def _kinds(self) -> tuple[dict[int, Any], ...]:
        return self._reasoning, self._text, self._tools, self._results, self._images, self._native

    def _message(self, blocks: list[_Block]) -> Message:
        finished = [block for block in blocks if self._finished(block)]
        return Message(
            role="assistant",
            content=_joined(_in_order(self._text)),
            refusal=None,
            tool_calls=[block.call() for block in self._client_calls() if self._finished(block)] or None,
            function_call=None,
            audio=None,
            images=[block.openai() for block in _in_order(self._images) if block.data] or None,
            annotations=_annotations(_in_order(self._text)) or None,
            parsed=None,
            reasoning_content=_joined(_in_order(self._reasoning)),
            reasoning_details=self._reasoning_details() or None,
            bedrock_content_blocks=[content for block in finished for content in block.sidecar()],
        )

    def _client_calls(self) -> list[_ToolBlock]:
        return [block for block in _in_order(self._tools) if block.for_client()]

    def _finished(self, block: _Block) -> bool:
        return self.complete or block.stopped or not isinstance(block, _ToolBlock)

    def _reasoning_details(self) -> list[dict[str, Any]]:
        details = [detail for block in _in_order(self._reasoning) for detail in block.details()]
        for index, detail in enumerate(details):
            detail.update(id=None, format=self._reasoning_format, index=index)
        return details

    def _details(self, stop: MessageStop, metadata: Metadata, interrupted: bool) -> BedrockDetails:
        calls = self._client_calls()
        return BedrockDetails(
            stop_reason=self.stop_reason,
            request_id=self.request_id,
            latency_ms=metadata.latency_ms,
            trace=metadata.trace,
            performance_config=metadata.performance_config,
            service_tier=metadata.service_tier,
            additional_fields=stop.additional_fields,
            cache_details=metadata.usage.get("cacheDetails"),
            usage=dict(metadata.usage),
            interrupted=interrupted,
            metadata_missing=self._metadata is None,
            invalid_tool_calls=[block.id for block in calls if self._finished(block) and not block.valid()],
            unfinished_tool_calls=[block.unfinished() for block in calls if not self._finished(block)],
            repairs=list(self.repairs),
            attempts=getattr(self._record, "attempts", 0) or 1,
            uncounted_attempts=getattr(self._record, "uncounted", 0),
            learned=[dict(entry) for entry in getattr(self._record, "learned", ())],
            fallback=getattr(self._record, "fallback", None),
            unknown=dict(self._unknown),
            unknown_events=list(self._unknown_events),
            structured=None,
            other=dict(metadata.other),
        )

    # One small method per event; the table after them says which.

    def _feed_text(self, event: TextDelta) -> None:
        self._text[event.block].pieces.append(event.text)

    def _feed_reasoning(self, event: ReasoningDelta) -> None:
        self._reasoning[event.block].pieces.append(event.text)

    def _feed_signature(self, event: ReasoningSignature) -> None:
        self._reasoning[event.block].signature.append(event.signature)

    def _feed_redacted(self, event: RedactedReasoning) -> None:
        self._reasoning[event.block].redacted.append(event.data)

    def _feed_tool_start(self, event: ToolCallStart) -> None:
        block = self._tools[event.block]
        block.id, block.name, block.type = event.id, event.name, event.type

    def _feed_arguments(self, event: ToolArgumentsDelta) -> None:
        self._tools[event.block].pieces.append(event.text)

    def _feed_result_start(self, event: ServerToolResultStart) -> None:
        self._results[event.block].head.update(event.head)

    def _feed_result(self, event: ServerToolResultDelta) -> None:
        self._results[event.block].add(event.parts)

    def _feed_citation(self, event: Citation) -> None:
        self._text[event.block].citations.append(dict(event.citation))

    def _feed_image_start(self, event: ImageStart) -> None:
        self._images[event.block].format = event.format

    def _feed_image(self, event: ImageDelta) -> None:
        self._images[event.block].add(event.image)

    def _feed_native(self, event: NativeBlock) -> None:
        self._native[event.block].content.update(event.content)

    def _feed_block_stop(self, event: BlockStop) -> None:
        stopped: list[_Block] = [kind[event.block] for kind in self._kinds() if event.block in kind]
        for block in stopped:
            block.stopped = True
        if event.verbatim is not None:
            self._keep_verbatim(event.block, event.verbatim, stopped)

    def _keep_verbatim(self, index: int, verbatim: Mapping[str, Any], stopped: list[_Block]) -> None:
        if not stopped:
            stopped = [self._native[index]]
        stopped[0].verbatim = verbatim
        for also in stopped[1:]:
            also.verbatim = {}

    def _feed_message_stop(self, event: MessageStop) -> None:
        self._stop = event

    def _feed_metadata(self, event: Metadata) -> None:
        self._metadata = event

    def _feed_fault(self, event: StreamFault) -> None:
        self.fault = event

    def _feed_unknown(self, event: UnknownEvent) -> None:
        self._unknown[event.name] = self._unknown.get(event.name, 0) + 1
        if len(self._unknown_events) < _KEPT_UNKNOWN_EVENTS:
            self._unknown_events.append({"name": event.name, "payload": event.payload})

    def _feed_restart(self, event: StreamRestarted) -> None:
        self._forget()

    def _feed_nothing(self, event: MessageStart | StreamResumed) -> None:
        """Tells nothing that the completion shows."""

    _FEEDERS: ClassVar[dict[type[Any], Callable[[Any, Any], None]]] = {
        TextDelta: _feed_text,
        ReasoningDelta: _feed_reasoning,
        ReasoningSignature: _feed_signature,
        RedactedReasoning: _feed_redacted,
        ToolCallStart: _feed_tool_start,
        ToolArgumentsDelta: _feed_arguments,
        ServerToolResultStart: _feed_result_start,
        ServerToolResultDelta: _feed_result,
        Citation: _feed_citation,
        ImageStart: _feed_image_start,
        ImageDelta: _feed_image,
        NativeBlock: _feed_native,
        BlockStop: _feed_block_stop,
        MessageStart: _feed_nothing,
        MessageStop: _feed_message_stop,
        Metadata: _feed_metadata,
        StreamFault: _feed_fault,
        StreamRestarted: _feed_restart,
        StreamResumed: _feed_nothing,
        UnknownEvent: _feed_unknown,
    }


class _Block:
    """What is known of one content block.

    `verbatim` is the block itself where it came whole; it is empty where a sibling of the same index holds it.
    """

    __slots__ = ("index", "stopped", "verbatim")

    def __init__(self, index: int) -> None:
        self.index = index
        self.stopped = False
        self.verbatim: Mapping[str, Any] | None = None

    def sidecar(self) -> list[Block]:
        """The block in Converse's own JSON form."""
        if self.verbatim is None:
            return [json_safe(block) for block in self.built()]
        return [json_safe(dict(self.verbatim))] if self.verbatim else []

    def built(self) -> list[Block]:
        """The block made of its streamed pieces."""
        return []


_AnyBlock = TypeVar("_AnyBlock", bound=_Block)


class _Blocks(dict[int, _AnyBlock]):
    """The blocks of one kind by their index; one that is asked for begins."""

    def __init__(self, kind: type[_AnyBlock]) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, index: int) -> _AnyBlock:
        block = self[index] = self._kind(index)
        return block


class _TextBlock(_Block):
    __slots__ = ("citations", "pieces")

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.pieces: list[str] = []
        self.citations: list[dict[str, Any]] = []

    def text(self) -> str:
        return "".join(self.pieces)

    def built(self) -> list[Block]:
        if not self.citations:
            return [{"text": self.text()}]
        return [{"citationsContent": {"content": [{"text": self.text()}], "citations": list(self.citations)}}]


class _ReasoningBlock(_Block):
    __slots__ = ("pieces", "redacted", "signature")

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.pieces: list[str] = []
        self.signature: list[str] = []
        self.redacted: list[bytes] = []

    def text(self) -> str:
        return "".join(self.pieces)

    def built(self) -> list[Block]:
        blocks: list[Block] = []
        if self.pieces or self.signature:
            signature = {"signature": "".join(self.signature)} if self.signature else {}
            blocks.append({"reasoningContent": {"reasoningText": {"text": self.text(), **signature}}})
        if self.redacted:
            blocks.append({"reasoningContent": {"redactedContent": b"".join(self.redacted)}})
        return blocks

    def details(self) -> list[dict[str, Any]]:
        details: list[dict[str, Any]] = []
        if self.pieces or self.signature:
            details.append(
                {"type": "reasoning.text", "text": self.text(), "signature": "".join(self.signature) or None}
            )
        if self.redacted:
            data = b64encode(b"".join(self.redacted)).decode("ascii")
            details.append({"type": "reasoning.encrypted", "data": data})
        return details


class _ToolBlock(_Block):
    __slots__ = ("id", "name", "pieces", "type")

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.id = ""
        self.name = ""
        self.type: str | None = None
        self.pieces: list[str] = []

    def for_client(self) -> bool:
        return self.type != SERVER_TOOL_USE

    def arguments(self) -> str:
        text = "".join(self.pieces)
        return text if text.strip() else "{}"

    def valid(self) -> bool:
        return isinstance(_parsed(self.arguments()), dict)

    def call(self) -> ToolCall:
        function = Function(name=self.name, arguments=self.arguments())
        return ToolCall(id=self.id, type="function", function=function)

    def unfinished(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "arguments": "".join(self.pieces)}

    def built(self) -> list[Block]:
        use: Block = {"toolUseId": self.id, "name": self.name, "input": _parsed(self.arguments())}
        if self.type is not None:
            use["type"] = self.type
        return [{"toolUse": use}]


class _ResultBlock(_Block):
    __slots__ = ("head", "parts")

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.head: dict[str, Any] = {}
        self.parts: list[dict[str, Any]] = []

    def add(self, parts: Iterable[Mapping[str, Any]]) -> None:
        for position, part in enumerate(parts):
            if position == 0 and self.parts and set(part) == {"text"} == set(self.parts[-1]):
                self.parts[-1] = {"text": self.parts[-1]["text"] + part["text"]}
            else:
                self.parts.append(dict(part))

    def built(self) -> list[Block]:
        return [{"toolResult": {**self.head, "content": list(self.parts)}}]


class _ImageBlock(_Block):
    __slots__ = ("data", "format", "other")

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.format = ""
        self.data: list[bytes] = []
        self.other: dict[str, Any] = {}

    def add(self, image: Mapping[str, Any]) -> None:
        source = image.get("source") or {}
        if "bytes" in source:
            self.data.append(source["bytes"])
            image = {name: value for name, value in image.items() if name != "source"}
        self.other.update(image)

    def openai(self) -> dict[str, Any]:
        data = b64encode(b"".join(self.data)).decode("ascii")
        return {"type": "image_url", "image_url": {"url": f"data:image/{self.format};base64,{data}"}}

    def built(self) -> list[Block]:
        source = {"source": {"bytes": b"".join(self.data)}} if self.data else {}
        return [{"image": {"format": self.format, **source, **self.other}}]


class _NativeBlock(_Block):
    __slots__ = ("content",)

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.content: dict[str, Any] = {}

    def built(self) -> list[Block]:
        return [dict(self.content)]


def _parsed(text: str) -> Any:
    """The JSON value of the text, or the text itself where it is broken: never an invented `{}`."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text
    return text if is_too_deep(text, value) else value


def _refuse_constant(name: str) -> Any:
    """NaN and the infinities are no JSON; the service would refuse them in a replayed tool input."""
    raise ValueError(name)


def _in_order(kind: dict[int, _AnyBlock]) -> list[_AnyBlock]:
    # A list first, in one go: another thread may be feeding (`ChatStream.partial`).
    blocks = list(kind.values())
    return sorted(blocks, key=attrgetter("index"))


def _joined(blocks: Sequence[_TextBlock] | Sequence[_ReasoningBlock]) -> str | None:
    return "".join(block.text() for block in blocks) or None


def _annotations(blocks: Iterable[_TextBlock]) -> list[dict[str, Any]]:
    """OpenAI's url_citation annotations: offsets in code points of the final text, the whole citation as `bedrock`."""
    annotations = []
    start = 0
    for block in blocks:
        end = start + len(block.text())
        annotations += [annotation(citation, start, end) for citation in block.citations]
        start = end
    return annotations


def annotation(citation: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    """One citation as OpenAI's annotation of the text between `start` and `end`."""
    web = (citation.get("location") or {}).get("web") or {}
    return {
        "type": "url_citation",
        "url_citation": {
            "url": web.get("url") or citation.get("source") or "",
            "title": citation.get("title") or web.get("domain") or "",
            "start_index": start,
            "end_index": end,
        },
        "bedrock": dict(citation),
    }


def fold(events: Iterable[Event], **identity: Any) -> Completion:
    """The completion of a finite run of events."""
    accumulator = Accumulator(**identity)
    for event in events:
        accumulator.feed(event)
    return accumulator.completion()
