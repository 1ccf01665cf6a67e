"""Bedrock as a provider of LiteLLM, in process: for what can only name a model, DSPy and mini-swe-agent among them.

import litellm
from litellm_provider import BedrockLLM

litellm.custom_provider_map = [{"provider": "converse", "custom_handler": BedrockLLM(region="us-east-1")}]
litellm.completion(model="converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0", messages=[...])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import litellm
from litellm import CustomLLM, ModelResponse, ModelResponseStream

from agent.bedrock import AsyncBedrock, Bedrock, classify

ERRORS = {
    "rate_limit": litellm.RateLimitError,
    "quota": litellm.RateLimitError,
    "context_overflow": litellm.ContextWindowExceededError,
    "invalid_request": litellm.BadRequestError,
    "unsupported": litellm.BadRequestError,
    "model_not_found": litellm.NotFoundError,
    "access_denied": litellm.BadRequestError,
    "auth": litellm.AuthenticationError,
    "overloaded": litellm.ServiceUnavailableError,
    "timeout": litellm.Timeout,
    "idle_timeout": litellm.Timeout,
}
"""LiteLLM's exception for a kind of failure; the others are connection errors to it."""

PROVIDER = "converse"

_NOT_OURS = ("stream", "stream_options", "max_retries", "extra_body")
"""What LiteLLM sees to; it takes the usage from the last chunk, where ours is unless one is asked for by itself."""


class BedrockLLM(CustomLLM):
    """LiteLLM's handler over `Bedrock().chat.completions`; the options are those of `Bedrock`."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._client = AsyncBedrock(**options)

    def __deepcopy__(self, memo: Any) -> BedrockLLM:
        return self  # DSPy copies what it holds; connections are shared

    @property
    def _sync(self) -> Bedrock:
        return self._client.sync

    def completion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse:
        """A whole answer."""
        with _told_as_litellm(model):
            completion = self._sync.chat.completions.create(model=model, messages=messages, **_options(call))
        return ModelResponse(**completion.model_dump())

    async def acompletion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse:
        """A whole answer, awaited."""
        with _told_as_litellm(model):
            completion = await self._client.chat.completions.create(model=model, messages=messages, **_options(call))
        return ModelResponse(**completion.model_dump())

    def streaming(self, model: str, messages: list[Any], **call: Any) -> Iterator[Any]:
        """An answer in LiteLLM's generic chunks, of which the first is awaited, so that early errors come at once."""
        with _told_as_litellm(model):
            options = {**_options(call), "stream": True}
            chunks = self._sync.chat.completions.create(model=model, messages=messages, **options)
            first = next(chunks)
        return self._told(model, chain([first], chunks))

    @staticmethod
    def _told(model: str, chunks: Iterator[Any]) -> Iterator[Any]:
        with _told_as_litellm(model):
            for chunk in chunks:
                yield from _generic(chunk)

    async def astreaming(self, model: str, messages: list[Any], **call: Any) -> AsyncIterator[Any]:
        """An answer in LiteLLM's generic chunks, awaited."""
        with _told_as_litellm(model):
            options = {**_options(call), "stream": True}
            async for chunk in await self._client.chat.completions.create(model=model, messages=messages, **options):
                for generic in _generic(chunk):
                    yield generic


def _options(call: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's parameters; what LiteLLM or the caller added beside them goes where nothing is refused."""
    given = {name: value for name, value in call["optional_params"].items() if name not in _NOT_OURS}
    extra = call["optional_params"].get("extra_body") or {}
    return {"extra_body": {**given, **extra}, "timeout": call.get("timeout")}


def _generic(chunk: Any) -> Iterator[Any]:
    """A chunk as LiteLLM's own: one piece of one tool call in each; reasoning, for which that has no place, as OpenAI's."""
    usage = None if chunk.usage is None else chunk.usage.model_dump()
    [choice] = chunk.choices
    if reasoning := getattr(choice.delta, "reasoning_content", None):
        delta = {"role": "assistant", "content": None, "reasoning_content": reasoning}
        yield ModelResponseStream(id=chunk.id, model=chunk.model, choices=[{"index": 0, "delta": delta}])
        return
    told = {
        "text": choice.delta.content or "",
        "tool_use": None,
        "is_finished": choice.finish_reason is not None,
        "finish_reason": choice.finish_reason or "",
        "usage": usage,
        "index": 0,
    }
    calls = choice.delta.tool_calls or [None]
    for call in calls:
        yield {**told, "tool_use": call and call.model_dump()}


@contextmanager
def _told_as_litellm(model: str) -> Iterator[None]:
    """Turns what goes wrong into LiteLLM's exceptions."""
    try:
        yield
    except Exception as error:
        told = ERRORS.get(classify(error).kind, litellm.APIConnectionError)
        raise told(message=str(error), model=model, llm_provider=PROVIDER) from error
