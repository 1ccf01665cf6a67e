"""For frameworks that want a model of their own kind: Strands and LangChain, without importing either.

In come the event dicts of `event_dicts`, out go the stream events of a Strands model (which are Converse's) and the
arguments of LangChain's `AIMessageChunk`. `StrandsModel` has what Strands calls on a model, by the same names; to pass
its type checks, derive from both: `class Model(StrandsModel, strands.models.Model)`.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import InvalidRequestError, classify
from .aio import AsyncBedrock
from .event_dicts import EventDict, EventDicts

StreamEvent = dict[str, Any]


# --- Strands ----------------------------------------------------------------------------------------------------------


class StrandsEvents:
    """Tells event dicts as a Strands model tells its stream: call it with every dict.

    Dicts know no blocks, so one begins whenever something else is told than before, or the last one was signed.
    """

    def __init__(self) -> None:
        self._begun = False
        self._block: tuple[str, str] | None = None

    def __call__(self, event: EventDict) -> Iterator[StreamEvent]:
        """The stream events for this dict."""
        if not self._begun:
            self._begun = True
            yield {"messageStart": {"role": "assistant"}}
        kind = event["type"]
        if kind in _BLOCKS:
            kind_of_block = "redacted" if "redacted_content" in event else _BLOCKS[kind]
            yield from self._in_block((kind_of_block, event.get("id", "")), event)
        elif kind == "tool_use_complete":
            yield from self._end_block()
        elif kind == "message_stop":
            yield from self._end_block()
            yield {"messageStop": {"stopReason": event["stop_reason"]}}
        elif kind == "metadata":
            yield {
                "metadata": {"usage": _converse_usage(event["usage"]), "metrics": {"latencyMs": event["latency_ms"]}}
            }

    def _in_block(self, block: tuple[str, str], event: EventDict) -> Iterator[StreamEvent]:
        if block != self._block:
            yield from self._end_block()
            self._block = block
            named = {"toolUse": {"toolUseId": event["id"], "name": event.get("name", "")}} if block[1] else {}
            yield {"contentBlockStart": {"start": named}}
        for delta in _DELTAS[event["type"]](event):
            yield {"contentBlockDelta": {"delta": delta}}
        if "signature" in event or "redacted_content" in event:
            yield from self._end_block()

    def _end_block(self) -> Iterator[StreamEvent]:
        if self._block is not None:
            self._block = None
            yield {"contentBlockStop": {}}


def _reasoning_deltas(event: EventDict) -> list[dict[str, Any]]:
    said = {"text": event["delta"]} if event["delta"] else {}
    signed = {"signature": event["signature"]} if "signature" in event else {}
    redacted = {"redactedContent": b64decode(event["redacted_content"])} if "redacted_content" in event else {}
    return [{"reasoningContent": part} for part in (said, signed, redacted) if part]


_BLOCKS = {
    "content_delta": "text",
    "reasoning_delta": "reasoning",
    "tool_use_start": "tool",
    "tool_use_delta": "tool",
}
_DELTAS: Mapping[str, Callable[[EventDict], list[dict[str, Any]]]] = {
    "content_delta": lambda event: [{"text": event["delta"]}],
    "reasoning_delta": _reasoning_deltas,
    "tool_use_start": lambda _: [],
    "tool_use_delta": lambda event: [{"toolUse": {"input": event["delta"]}}],
}


def _converse_usage(usage: Mapping[str, int]) -> dict[str, int]:
    read, written = usage["cache_read_input_tokens"], usage["cache_write_input_tokens"]
    return {
        "inputTokens": usage["input_tokens"],
        "outputTokens": usage["output_tokens"],
        "totalTokens": usage["input_tokens"] + usage["output_tokens"] + read + written,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }


class StrandsModel:
    """A model by the names that Strands calls; `options` are those of `Bedrock.complete`."""

    def __init__(self, bedrock: AsyncBedrock | None = None, *, model_id: str, **options: Any) -> None:
        self._bedrock = AsyncBedrock() if bedrock is None else bedrock
        self.config: dict[str, Any] = {"model_id": model_id, **options}

    def update_config(self, **changes: Any) -> None:
        """Change model and options for the calls to come."""
        self.config.update(changes)

    def get_config(self) -> dict[str, Any]:
        """Model and options."""
        return self.config

    async def stream(
        self,
        messages: Sequence[Any],
        tool_specs: Sequence[Any] | None = None,
        system_prompt: str | None = None,
        *,
        tool_choice: Any = None,
        system_prompt_content: Sequence[Any] | None = None,
        cancel_signal: Any = None,
        **_of_later_versions: Any,
    ) -> AsyncIterator[StreamEvent]:
        """The answer as stream events; messages and system prompt are Converse's, as Strands has them."""
        system = system_prompt_content or system_prompt
        asked = self._asked(messages, system, tools=tool_specs, tool_choice=tool_choice, cancel=cancel_signal)
        if asked.get("resume") == "restart":
            raise InvalidRequestError("cannot be restart: a Strands stream takes nothing back", field="resume")
        tell, tell_strands = EventDicts(), StrandsEvents()
        with _told_as_strands():
            async with self._bedrock.stream(**asked) as stream:
                async for event in stream:
                    for told in tell(event):
                        for strands in tell_strands(told):
                            yield strands

    async def structured_output(
        self, output_model: Any, prompt: Sequence[Any], system_prompt: str | None = None, **_of_later_versions: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """`{"output": ...}` with an instance of a pydantic model."""
        schema = {"name": output_model.__name__, "schema": output_model.model_json_schema()}
        asked = self._asked(prompt, system_prompt, response_format={"type": "json_schema", "json_schema": schema})
        with _told_as_strands():
            completion = await self._bedrock.complete(**asked)
        yield {"output": output_model.model_validate(json.loads(completion.choices[0].message.content or "null"))}

    def _asked(self, messages: Sequence[Any], system: Any, **more: Any) -> dict[str, Any]:
        options = dict(self.config)
        said = [{"role": "system", "content": system}] if system else []
        given = {name: value for name, value in more.items() if value is not None}
        return {"model": options.pop("model_id"), "messages": [*said, *messages], **options, **given}


_STRANDS_ERRORS = {
    "rate_limit": "ModelThrottledException",
    "overloaded": "ModelThrottledException",
    "context_overflow": "ContextWindowOverflowException",
}
"""What a Strands agent waits out, and what it makes its conversation shorter for."""


@contextmanager
def _told_as_strands() -> Iterator[None]:
    """Raises Strands' own exceptions where Strands is there and has one."""
    try:
        yield
    except Exception as error:
        known = sys.modules.get("strands.types.exceptions")
        name = _STRANDS_ERRORS.get(classify(error).kind)
        if known is None or name is None:
            raise
        raise getattr(known, name)(str(error)) from error


# --- LangChain --------------------------------------------------------------------------------------------------------


def langchain_chunks(events: Iterable[EventDict]) -> Iterator[dict[str, Any]]:
    """The arguments of an `AIMessageChunk` for each dict that adds something to a message."""
    indexes: dict[str, int] = {}
    for event in events:
        tell = _CHUNKS.get(event["type"])
        if tell is not None:
            yield {"content": "", **tell(event, indexes)}


def _call_chunk(event: EventDict, indexes: dict[str, int]) -> dict[str, Any]:
    starts = event["type"] == "tool_use_start"
    index = indexes.setdefault(event["id"], len(indexes))
    chunk = {
        "id": event["id"] if starts else None,
        "name": event["name"] if starts else None,
        "args": "" if starts else event["delta"],
        "index": index,
        "type": "tool_call_chunk",
    }
    return {"tool_call_chunks": [chunk]}


def _usage_chunk(event: EventDict, _: dict[str, int]) -> dict[str, Any]:
    usage = event["usage"]
    read, written = usage["cache_read_input_tokens"], usage["cache_write_input_tokens"]
    asked = usage["input_tokens"] + read + written
    return {
        "usage_metadata": {
            "input_tokens": asked,
            "output_tokens": usage["output_tokens"],
            "total_tokens": asked + usage["output_tokens"],
            "input_token_details": {"cache_read": read, "cache_creation": written},
        }
    }


_CHUNKS: Mapping[str, Callable[[EventDict, dict[str, int]], dict[str, Any]]] = {
    "content_delta": lambda event, _: {"content": event["delta"]},
    "reasoning_delta": lambda event, _: {"additional_kwargs": {"reasoning_content": event["delta"]}},
    "tool_use_start": _call_chunk,
    "tool_use_delta": _call_chunk,
    "message_stop": lambda event, _: {
        "response_metadata": {"stop_reason": event["stop_reason"], "model_name": event["model"]}
    },
    "metadata": _usage_chunk,
}
