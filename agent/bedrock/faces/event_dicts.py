"""The events of a streamed answer as small dicts, in the vocabulary of agentic-primitives-gateway.

In come events, out go dicts with a `type`: `content_delta`, `reasoning_delta`, `tool_use_start`, `tool_use_delta`,
`tool_use_complete`, `message_stop`, `metadata`. A `reasoning_delta` with a `signature` or with `redacted_content` (base64)
is the last of its block. Tools that the service runs itself are not told. Arguments that are no JSON object are handed
over as `{"raw": text}`, never as an invented `{}`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import NOT_ITS_FORM, answer_of_another_form
from ..response.events import (
    BlockStop,
    Event,
    MessageStop,
    Metadata,
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
    from ..response.completion import Completion
    from .chunks import RenameCall

EventDict = dict[str, Any]


class EventDicts:
    """Tells the events of one answer: call it with every event; `call_id` may rename the tool calls.

    Without `tool_deltas` the arguments of a call are told once, when it is complete.
    """

    def __init__(self, model: str = "", *, call_id: RenameCall | None = None, tool_deltas: bool = True) -> None:
        self._model = model
        self._tool_deltas = tool_deltas
        self._rename = call_id
        self._called = False
        self._open: dict[int, tuple[ToolCallStart, list[str]]] = {}

    def __call__(self, event: Event) -> list[EventDict]:
        """The dicts that tell this event."""
        tell = self._TELLERS.get(type(event))
        try:
            return [] if tell is None else tell(self, event)
        except NOT_ITS_FORM as error:
            raise answer_of_another_form() from error

    def _text(self, event: TextDelta) -> list[EventDict]:
        return [{"type": "content_delta", "delta": event.text}] if event.text else []

    def _reasoning(self, event: ReasoningDelta) -> list[EventDict]:
        return [{"type": "reasoning_delta", "delta": event.text}] if event.text else []

    def _signature(self, event: ReasoningSignature) -> list[EventDict]:
        return [{"type": "reasoning_delta", "delta": "", "signature": event.signature}]

    def _redacted(self, event: RedactedReasoning) -> list[EventDict]:
        return [{"type": "reasoning_delta", "delta": "", "redacted_content": b64encode(event.data).decode("ascii")}]

    def _call(self, event: ToolCallStart) -> list[EventDict]:
        if event.runs_on_server:
            return []
        if self._rename is not None:
            event = replace(event, id=self._rename(event.id, not self._called))
        self._called = True
        self._open[event.block] = (event, [])
        return [{"type": "tool_use_start", "id": event.id, "name": event.name}]

    def _arguments(self, event: ToolArgumentsDelta) -> list[EventDict]:
        if event.block not in self._open:
            return []
        call, pieces = self._open[event.block]
        pieces.append(event.text)
        told = event.text and self._tool_deltas
        return [{"type": "tool_use_delta", "id": call.id, "delta": event.text}] if told else []

    def _block_stop(self, event: BlockStop) -> list[EventDict]:
        if event.block not in self._open:
            return []
        call, pieces = self._open.pop(event.block)
        arguments = parsed_arguments("".join(pieces))
        return [{"type": "tool_use_complete", "id": call.id, "name": call.name, "input": arguments}]

    def _message_stop(self, event: MessageStop) -> list[EventDict]:
        unstopped = [told for block in list(self._open) for told in self._block_stop(BlockStop(block))]
        return [*unstopped, {"type": "message_stop", "stop_reason": event.stop_reason, "model": self._model}]

    def _metadata(self, event: Metadata) -> list[EventDict]:
        return [{"type": "metadata", "usage": usage_dict(event.usage), "latency_ms": event.latency_ms}]

    def _restart(self, event: StreamRestarted) -> list[EventDict]:
        self._open.clear()
        self._called = False
        return [{"type": "stream_restarted", "attempt": event.attempt, "reason": event.reason}]

    def _resumption(self, event: StreamResumed) -> list[EventDict]:
        return [{"type": "stream_resumed", "attempt": event.attempt, "reason": event.reason}]

    _TELLERS: ClassVar[dict[type[Any], Callable[[Any, Any], list[EventDict]]]] = {
        TextDelta: _text,
        ToolArgumentsDelta: _arguments,
        ReasoningDelta: _reasoning,
        ReasoningSignature: _signature,
        RedactedReasoning: _redacted,
        ToolCallStart: _call,
        BlockStop: _block_stop,
        MessageStop: _message_stop,
        Metadata: _metadata,
        StreamRestarted: _restart,
        StreamResumed: _resumption,
    }


def event_dicts_of(stream: ChatStream) -> Iterator[EventDict]:
    """The dicts that tell a stream; raises what the stream raises."""
    tell = EventDicts(stream.partial().model)
    for event in stream:
        yield from tell(event)


def answer_dict(completion: Completion) -> EventDict:
    """A whole answer in the same vocabulary: content, model, stop_reason, usage, and tool_calls where there are any."""
    message = completion.message
    answer: EventDict = {
        "model": completion.model,
        "content": message.content or "",
        "stop_reason": completion.bedrock.stop_reason,
        "usage": usage_dict(completion.bedrock.usage),
    }
    if message.tool_calls:
        answer["tool_calls"] = [
            {"id": call.id, "name": call.function.name, "input": parsed_arguments(call.function.arguments)}
            for call in message.tool_calls
        ]
    if message.reasoning_content:
        answer["reasoning"] = message.reasoning_content
    return answer


def parsed_arguments(text: str) -> dict[str, Any]:
    """The arguments as an object; `{"raw": text}` where they are none, `{}` where there are no arguments at all."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"raw": text}
    return value if isinstance(value, dict) else {"raw": text}


def usage_dict(usage: Mapping[str, Any]) -> dict[str, int]:
    """Converse's own counters under this vocabulary's names; `input_tokens` is without what the cache gave and took."""
    return {
        "input_tokens": usage.get("inputTokens") or 0,
        "output_tokens": usage.get("outputTokens") or 0,
        "cache_read_input_tokens": usage.get("cacheReadInputTokens") or 0,
        "cache_write_input_tokens": usage.get("cacheWriteInputTokens") or 0,
    }
