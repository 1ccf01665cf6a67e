"""The OpenAI-shaped namespaces that an answer becomes.

Attributes are those of `openai.types.chat.ChatCompletion` plus what OpenAI has no place for:
`message.reasoning_content`, `message.reasoning_details` (OpenRouter's shape), `message.bedrock_content_blocks` (the
answer's own blocks as JSON) and `completion.bedrock`. All optional attributes are present and None. Values below the
namespaces are plain JSON data, so that a message can be appended to `messages`, stored, copied and pickled as it is. They
are deliberately no dicts: Hermes takes a dict for a raw boto3 answer (transports/bedrock.py, validate_response, 0.19).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Literal

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}

MALFORMED_STOP_REASONS = frozenset({"malformed_model_output", "malformed_tool_use"})

# `service_tier` of OpenAI's type is closed; "reserved" would fail a strict runtime's validation and stays in `bedrock`.
OPENAI_SERVICE_TIERS = frozenset({"default", "flex", "priority"})


def finish_reason(stop_reason: str | None, *, has_tool_calls: bool = False) -> FinishReason:
    """OpenAI's word for a Converse stop reason; an unknown one is "stop", or "tool_calls" where calls came with it."""
    reason = FINISH_REASONS.get(stop_reason or "", "stop")
    return "tool_calls" if reason == "stop" and has_tool_calls else reason


class Namespace(SimpleNamespace):
    """Attributes that can also be read like a mapping and dumped as plain data; the repr never shows content."""

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute, or `default`."""
        return self.__dict__.get(name, default)

    def keys(self) -> Collection[str]:
        """The names of the attributes, so that `dict(namespace)` and `**namespace` work."""
        return self.__dict__.keys()

    def model_dump(
        self,
        *,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        exclude_none: bool = False,
        **_pydantic_options: Any,
    ) -> dict[str, Any]:
        """Plain JSON data, as pydantic's method of that name; `include` and `exclude` name top-level attributes."""
        chosen = (
            (name, value)
            for name, value in self.__dict__.items()
            if (include is None or name in include) and (exclude is None or name not in exclude)
        )
        return {
            name: _plain(value, exclude_none=exclude_none)
            for name, value in chosen
            if not (exclude_none and value is None)
        }

    to_dict = model_dump

    def model_dump_json(self, **options: Any) -> str:
        """The same as JSON text."""
        import json

        indent = options.pop("indent", None)
        return json.dumps(self.model_dump(**options), indent=indent)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.__dict__)}>"


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any, *, exclude_none: bool) -> Any:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Namespace):
        return value.model_dump(exclude_none=exclude_none)
    if isinstance(value, (list, tuple)):
        return [_plain(item, exclude_none=exclude_none) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item, exclude_none=exclude_none) for name, item in value.items()}
    return value


class Function(Namespace):
    """The function that a tool call names; `arguments` is the JSON text as the model wrote it."""

    name: str
    arguments: str


class ToolCall(Namespace):
    """One call of a client's tool."""

    id: str
    type: str
    function: Function


class Message(Namespace):
    """The assistant's message."""

    role: str
    content: str | None
    refusal: str | None
    tool_calls: list[ToolCall] | None
    function_call: None
    audio: None
    images: list[dict[str, Any]] | None
    annotations: list[dict[str, Any]] | None
    parsed: Any
    reasoning_content: str | None
    reasoning_details: list[dict[str, Any]] | None
    bedrock_content_blocks: list[dict[str, Any]]


class Choice(Namespace):
    """The one choice of a completion."""

    index: int
    message: Message
    finish_reason: FinishReason
    logprobs: None


class Usage(Namespace):
    """Token counts with OpenAI's meaning: `prompt_tokens` includes what was read from and written to the cache."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Namespace
    completion_tokens_details: Namespace
    cache_read_input_tokens: int
    cache_creation_input_tokens: int


class BedrockDetails(Namespace):
    """What an answer says beyond OpenAI's vocabulary; see the attributes."""

    stop_reason: str | None
    request_id: str | None
    latency_ms: int | None
    trace: Any
    performance_config: Any
    service_tier: Any
    additional_fields: Any
    cache_details: list[dict[str, Any]] | None
    usage: dict[str, Any]
    interrupted: bool
    metadata_missing: bool
    invalid_tool_calls: list[str]
    unfinished_tool_calls: list[dict[str, Any]]
    repairs: list[dict[str, Any]]
    attempts: int
    uncounted_attempts: int
    learned: list[dict[str, Any]]
    fallback: dict[str, Any] | None
    structured: dict[str, Any] | None
    unknown: dict[str, int]
    unknown_events: list[dict[str, Any]]
    other: dict[str, Any]


class Completion(Namespace):
    """An OpenAI chat completion, made of a Converse answer."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    service_tier: str | None
    system_fingerprint: None
    bedrock: BedrockDetails

    @property
    def message(self) -> Message:
        """The assistant's message, ready to be appended to `messages`."""
        return self.choices[0].message

    def __repr__(self) -> str:
        message = self.choices[0].message
        return (
            f"<Completion id={self.id!r} model={self.model!r} finish_reason={self.choices[0].finish_reason!r} "
            f"characters={len(message.content or '')} tool_calls={len(message.tool_calls or ())} "
            f"tokens={self.usage.total_tokens}>"
        )


def usage_of(counters: Mapping[str, Any]) -> Usage:
    """OpenAI's usage from Converse's.

    Converse's `inputTokens` excludes what the cache gave and took (recorded: 3 + 1712 written + 227 answered = 1942).
    """
    read = counters.get("cacheReadInputTokens") or 0
    written = counters.get("cacheWriteInputTokens") or 0
    prompt = (counters.get("inputTokens") or 0) + read + written
    answer = counters.get("outputTokens") or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        total_tokens=prompt + answer,
        prompt_tokens_details=Namespace(cached_tokens=read, cache_write_tokens=written, audio_tokens=None),
        completion_tokens_details=Namespace(reasoning_tokens=None, audio_tokens=None),
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
    )
