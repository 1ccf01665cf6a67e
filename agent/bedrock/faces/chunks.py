"""The events of a streamed answer as OpenAI's `chat.completion.chunk`s.

In come events, out go chunks as plain JSON data, in the pattern that the openai SDK's accumulator can fold: entries of
lists carry an int `index`, and no string but a piece of text is sent twice. Folding all chunks of an answer gives the
message of `ChatStream.completion()`, because the last chunk is made of that completion. Nothing is converted here that
`response` does not know, and nothing waits but what would come out of order.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import NOT_ITS_FORM, answer_of_another_form
from ..response.accumulator import REASONING_FORMAT, annotation
from ..response.completion import Completion, Namespace, Usage
from ..response.events import (
    BlockStop,
    Citation,
    Event,
    MessageStart,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
    StreamRestarted,
    StreamResumed,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
)

if TYPE_CHECKING:
    from ..chat import ChatStream
    from .aio import AsyncChatStream

Chunk = dict[str, Any]
Delta = dict[str, Any]
Deltas = tuple[Delta, ...] | list[Delta]

NOTHING: Deltas = ()

RenameCall = Callable[[str, bool], str]
"""Given a tool call's id, and whether it is the answer's first: the id to tell."""


class ChunkMaker:
    """Makes the chunks of one answer: call it with every event, then `last()` once the answer is complete.

    `head` gives id, time and model: what `ChatStream.partial()` says before the first event. With `include_usage` the
    usage is a chunk of its own without choices, as OpenAI sends it; otherwise it stands on the chunk with the finish
    reason, where most runtimes look for it unasked. `call_id` may rename the tool calls.
    """

    def __init__(
        self,
        head: Completion,
        *,
        include_usage: bool = False,
        reasoning_format: str = REASONING_FORMAT,
        call_id: RenameCall | None = None,
    ) -> None:
        self._head = {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
        }
        self._request_id = head.bedrock.request_id
        self._include_usage = include_usage
        self._reasoning_format = reasoning_format
        self._call_id = call_id
        self._begin()

    def _begin(self) -> None:
        self._begun = False
        self._text = _Text()
        self._reasoning = _Reasoning(self._reasoning_format)
        self._calls = _Calls(self._call_id)

    def __call__(self, event: Event) -> list[Chunk]:
        """The chunks that tell this event; none for what only the last chunk tells."""
        tell = self._TELLERS.get(type(event))
        try:
            return [] if tell is None else tell(self, event)
        except NOT_ITS_FORM as error:
            raise answer_of_another_form(self._request_id) from error

    def last(self, completion: Completion) -> list[Chunk]:
        """What is left, the chunk with the finish reason, and the usage if it was asked for."""
        choice = completion.choices[0]
        left = [*self._text.rest(), *self._reasoning.rest(), *self._calls.rest()]
        usage = completion.usage.model_dump()
        # Ended by the reader, it is not finished: nobody is to run its calls.
        ended = None if completion.bedrock.interrupted else choice.finish_reason
        final = self._chunk(_whole_parts(choice.message), ended)
        final["bedrock"] = details_json(completion)
        if completion.service_tier is not None:
            final["service_tier"] = completion.service_tier
        if self._include_usage:
            return [*self._chunks(left), final, self._bare(usage=usage)]
        final["usage"] = usage
        return [*self._chunks(left), final]

    def _chunks(self, deltas: Iterable[Delta]) -> list[Chunk]:
        return [self._chunk(delta) for delta in deltas]

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> Chunk:
        if not self._begun:
            self._begun = True
            delta = {"role": "assistant", "content": None, **delta}
        return {
            **self._head,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}],
        }

    def _bare(self, **members: Any) -> Chunk:
        return {**self._head, "choices": [], **members}

    # One small method per event; the table after them says which.

    def _tell_start(self, event: MessageStart) -> list[Chunk]:
        return [] if self._begun else [self._chunk({})]

    def _tell_text(self, event: TextDelta | Citation) -> list[Chunk]:
        return self._chunks(self._text.take(event))

    def _tell_reasoning(self, event: ReasoningDelta | ReasoningSignature | RedactedReasoning) -> list[Chunk]:
        return self._chunks(self._reasoning.take(event))

    def _tell_call(self, event: ToolCallStart) -> list[Chunk]:
        return self._chunks(self._calls.start(event))

    def _tell_arguments(self, event: ToolArgumentsDelta) -> list[Chunk]:
        return self._chunks(self._calls.add(event))

    def _tell_block_stop(self, event: BlockStop) -> list[Chunk]:
        return self._chunks((*self._text.take(event), *self._reasoning.take(event), *self._calls.stop(event)))

    def _tell_restart(self, event: StreamRestarted) -> list[Chunk]:
        self._begin()
        return [self._bare(bedrock={"restarted": {"attempt": event.attempt, "reason": event.reason}})]

    def _tell_resumption(self, event: StreamResumed) -> list[Chunk]:
        return [self._bare(bedrock={"resumed": {"attempt": event.attempt, "reason": event.reason}})]

    _TELLERS: ClassVar[dict[type[Any], Callable[[Any, Any], list[Chunk]]]] = {
        TextDelta: _tell_text,
        ToolArgumentsDelta: _tell_arguments,
        ReasoningDelta: _tell_reasoning,
        MessageStart: _tell_start,
        ToolCallStart: _tell_call,
        ReasoningSignature: _tell_reasoning,
        RedactedReasoning: _tell_reasoning,
        Citation: _tell_text,
        BlockStop: _tell_block_stop,
        StreamRestarted: _tell_restart,
        StreamResumed: _tell_resumption,
    }


def chunks_of(stream: ChatStream, make: ChunkMaker | None = None) -> Iterator[Chunk]:
    """The chunks of a stream; raises what the stream raises, and no last chunk comes before the answer is complete."""
    make = make or ChunkMaker(stream.partial())
    for event in stream:
        yield from make(event)
    yield from make.last(stream.completion())


async def async_chunks_of(stream: AsyncChatStream, make: ChunkMaker | None = None) -> AsyncIterator[Chunk]:
    """The chunks of an async stream that is open, by the same maker."""
    make = make or ChunkMaker(stream.partial())
    async for event in stream:
        for chunk in make(event):
            yield chunk
    for chunk in make.last(await stream.completion()):
        yield chunk


def details_json(completion: Completion) -> dict[str, Any]:
    """What Bedrock says beyond OpenAI's vocabulary, without what it does not say."""
    details = completion.bedrock.model_dump(exclude_none=True)
    return {name: value for name, value in details.items() if value not in ([], {})}


def _whole_parts(message: Any) -> Delta:
    """What is told once, with the last chunk: images, and the answer's own blocks, which make it replayable."""
    parts = {"images": message.images, "bedrock_content_blocks": message.bedrock_content_blocks}
    return {name: value for name, value in parts.items() if value}


# --- what has an order ------------------------------------------------------------------------------------------------


class _InTurn:
    """Lets one block speak at a time, in the order of the blocks.

    Text and reasoning are strings to the reader, so deltas of a later block wait until the earlier one has stopped. The
    service sends its blocks one after another, where nothing ever waits.
    """

    def __init__(self) -> None:
        self._speaking: int | None = None
        self._waiting: dict[int, list[Any]] = {}

    def take(self, event: Any) -> Deltas:
        """The deltas that can be told now that this event has come."""
        block = event.block
        if type(event) is BlockStop:
            return self._stop(event)
        if self._speaking is None:
            self._speaking = block
        elif block > self._speaking:
            self._waiting.setdefault(block, []).append(event)
            return NOTHING
        return self.tell(event)

    def _stop(self, event: BlockStop) -> Deltas:
        if event.block != self._speaking:
            if event.block in self._waiting:
                self._waiting[event.block].append(event)
            return NOTHING
        deltas = [*self.end(event.block)]
        self._speaking = None
        while self._waiting and self._speaking is None:
            block = min(self._waiting)
            events = self._waiting.pop(block)
            stopped = type(events[-1]) is BlockStop
            deltas += [delta for item in (events[:-1] if stopped else events) for delta in self.tell(item)]
            if stopped:
                deltas += self.end(block)
            else:
                self._speaking = block
        return deltas

    def rest(self) -> Iterator[Delta]:
        """The deltas of all that still waits, and of blocks that never stopped."""
        while self._speaking is not None:
            yield from self._stop(BlockStop(self._speaking))

    def tell(self, event: Any) -> Deltas:
        """The deltas that tell an event of the block whose turn it is."""
        raise TypeError(event)

    def end(self, block: int) -> Deltas:
        """The deltas that end a block."""
        return NOTHING


class _Text(_InTurn):
    """Visible text, and at the end of each block the annotations of its citations."""

    def __init__(self) -> None:
        super().__init__()
        self._begin = 0
        self._end = 0
        self._citations: list[Mapping[str, Any]] = []
        self._annotations = 0

    def tell(self, event: TextDelta | Citation) -> Deltas:
        if isinstance(event, Citation):
            self._citations.append(event.citation)
            return NOTHING
        self._end += len(event.text)
        return ({"content": event.text},) if event.text else NOTHING

    def end(self, block: int) -> Deltas:
        begin, self._begin = self._begin, self._end
        if not self._citations:
            return NOTHING
        annotations = [
            {"index": index, **annotation(citation, begin, self._end)}
            for index, citation in enumerate(self._citations, start=self._annotations)
        ]
        self._annotations += len(annotations)
        self._citations = []
        return ({"annotations": annotations},)


class _Reasoning(_InTurn):
    """Reasoning, as the text that most runtimes show and as the details that can be replayed."""

    def __init__(self, reasoning_format: str) -> None:
        super().__init__()
        self._format = reasoning_format
        self._details = 0
        self._text_detail: int | None = None
        self._redacted: list[bytes] = []

    def tell(self, event: ReasoningDelta | ReasoningSignature | RedactedReasoning) -> Deltas:
        if isinstance(event, RedactedReasoning):
            self._redacted.append(event.data)
            return NOTHING
        signature = event.signature if isinstance(event, ReasoningSignature) else None
        text = event.text if isinstance(event, ReasoningDelta) else ""
        entry: Delta = {"type": "reasoning.text", "index": self._text_detail, "text": text}
        if self._text_detail is None:
            self._text_detail = self._next_detail()
            # The accumulator joins strings: whatever is no piece of text is sent once.
            entry |= {"index": self._text_detail, "signature": None, "format": self._format, "id": None}
        if signature is not None:
            entry["signature"] = signature
        shown = {"reasoning_content": text} if text else {}
        return ({**shown, "reasoning_details": [entry]},)

    def end(self, block: int) -> Deltas:
        self._text_detail = None
        if not self._redacted:
            return NOTHING
        data = b64encode(b"".join(self._redacted)).decode("ascii")
        self._redacted = []
        index = self._next_detail()
        entry = {"type": "reasoning.encrypted", "data": data, "format": self._format, "index": index, "id": None}
        return ({"reasoning_details": [entry]},)

    def _next_detail(self) -> int:
        self._details += 1
        return self._details - 1


class _Call:
    """What a client's tool call still owes: `blank` holds back what is no arguments yet."""

    __slots__ = ("blank", "index", "told")

    def __init__(self, index: int) -> None:
        self.index = index
        self.blank = ""
        self.told = False


class _Calls:
    """Tool calls, numbered from 0 without gaps; those of tools that the service runs itself are left out."""

    def __init__(self, rename: RenameCall | None) -> None:
        self._rename = rename
        self._calls: dict[int, _Call] = {}
        self._of_the_service: set[int] = set()

    def start(self, event: ToolCallStart) -> Deltas:
        if event.runs_on_server:
            self._of_the_service.add(event.block)
            return NOTHING
        return self._open(event.block, event.id, event.name) if event.block not in self._calls else NOTHING

    def add(self, event: ToolArgumentsDelta) -> Deltas:
        if event.block in self._of_the_service:
            return NOTHING
        opened = NOTHING if event.block in self._calls else self._open(event.block, "", "")
        call = self._calls[event.block]
        text = call.blank + event.text
        if not call.told and not text.strip():
            call.blank = text
            return opened
        call.told = True
        call.blank = ""
        return (*opened, _arguments(call, text))

    def stop(self, event: BlockStop) -> Deltas:
        call = self._calls.get(event.block)
        return NOTHING if call is None or call.told else self._without_arguments(call)

    def rest(self) -> Iterator[Delta]:
        for call in self._calls.values():
            if not call.told:
                yield from self._without_arguments(call)

    def _open(self, block: int, call_id: str, name: str) -> Deltas:
        if self._rename is not None:
            call_id = self._rename(call_id, not self._calls)
        call = self._calls[block] = _Call(len(self._calls))
        function = {"name": name, "arguments": ""}
        return ({"tool_calls": [{"index": call.index, "id": call_id, "type": "function", "function": function}]},)

    def _without_arguments(self, call: _Call) -> Deltas:
        call.told = True
        return (_arguments(call, "{}"),)


def _arguments(call: _Call, text: str) -> Delta:
    return {"tool_calls": [{"index": call.index, "function": {"arguments": text}}]}


# --- namespaces -------------------------------------------------------------------------------------------------------


class ChunkDelta(Namespace):
    """What a chunk adds to the message; all that it does not add is None."""

    role: str | None
    content: str | None
    refusal: None
    tool_calls: list[Namespace] | None
    function_call: None
    reasoning_content: str | None
    reasoning_details: list[dict[str, Any]] | None
    annotations: list[dict[str, Any]] | None
    images: list[dict[str, Any]] | None
    bedrock_content_blocks: list[dict[str, Any]] | None


class ChunkChoice(Namespace):
    """The one choice of a chunk."""

    index: int
    delta: ChunkDelta
    finish_reason: str | None
    logprobs: None


class CompletionChunk(Namespace):
    """A chunk as the openai SDK would show it: every optional attribute is there, and None where nothing was sent."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None
    service_tier: str | None
    system_fingerprint: None
    bedrock: Namespace | None


def chunk_namespace(chunk: Mapping[str, Any]) -> CompletionChunk:
    """The chunk with attributes."""
    usage, bedrock = chunk.get("usage"), chunk.get("bedrock")
    return CompletionChunk(
        id=chunk["id"],
        object=chunk["object"],
        created=chunk["created"],
        model=chunk["model"],
        choices=[_choice_namespace(choice) for choice in chunk["choices"]],
        usage=None if usage is None else _usage_namespace(usage),
        service_tier=chunk.get("service_tier"),
        system_fingerprint=None,
        bedrock=None if bedrock is None else Namespace(**bedrock),
    )


def _choice_namespace(choice: Mapping[str, Any]) -> ChunkChoice:
    delta = {**_EMPTY_DELTA, **choice["delta"]}
    if delta["tool_calls"]:
        delta["tool_calls"] = [_call_namespace(call) for call in delta["tool_calls"]]
    return ChunkChoice(
        index=choice["index"], delta=ChunkDelta(**delta), finish_reason=choice["finish_reason"], logprobs=None
    )


def _call_namespace(call: Mapping[str, Any]) -> Namespace:
    function = Namespace(**{"name": None, "arguments": None, **call["function"]})
    return Namespace(index=call["index"], id=call.get("id"), type=call.get("type"), function=function)


def _usage_namespace(usage: Mapping[str, Any]) -> Usage:
    return Usage(**{name: Namespace(**item) if isinstance(item, dict) else item for name, item in usage.items()})


_EMPTY_DELTA = dict.fromkeys(ChunkDelta.__annotations__)
