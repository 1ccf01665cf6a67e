"""The options of a request, each with its default; and an OpenAI body taken apart into them.

In come keyword arguments or the JSON body of a chat-completions call; out goes a frozen `RequestOptions`. A value of a
type that cannot be meant raises with the option's name; what a value says is read elsewhere, and nothing is converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InvalidRequestError
from ..values import frozen, names_of
from .reading import as_mapping

Fetch = Callable[[str], tuple[bytes, str]]


@frozen(eq=False, repr=False)
class RequestOptions:
    """Everything a caller can ask for beside model, messages and tools; None leaves a thing to the service.

    `extra` holds Converse members, merged deeply; `additional_model_request_fields` is the family's own vocabulary.
    `fetch(url)` gives the bytes and the media type behind an http or s3 URL; without one such a URL is refused (s3 is sent
    as a location where the family takes those). `volatile_tail` says how many of the last messages change with every request,
    so that no cache point stands behind them; `stable_tool_order` sorts tools by name, so that a shuffled list still caches.
    """

    # OpenAI's own
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | Sequence[str] | None = None
    stop_sequences: str | Sequence[str] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    reasoning_effort: str | None = None
    service_tier: Any = None
    metadata: Mapping[str, Any] | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    n: int | None = None
    functions: Sequence[Any] | None = None
    function_call: Any = None

    # OpenAI's own that Converse has no place for: left out, and reported
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    store: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    verbosity: Any = None
    safety_identifier: Any = None
    prompt_cache_retention: Any = None
    prompt_cache_options: Any = None
    moderation: Any = None
    stream_options: Any = None

    # reasoning
    thinking: Any = None
    thinking_budget: int | None = None
    reasoning: Any = None
    effort: str | None = None
    anthropic_beta: Sequence[str] | str | None = None

    # Converse
    guardrail_config: Any = None
    guard_last_turn: bool = False
    request_metadata: Mapping[str, Any] | None = None
    performance_config: Any = None
    output_config: Any = None
    prompt_variables: Mapping[str, Any] | None = None
    system_tools: Sequence[str] | None = None
    citations: bool = False
    bucket_owner: str | None = None
    additional_model_request_fields: Mapping[str, Any] | None = None
    additional_model_response_field_paths: Sequence[str] | None = None
    extra: Mapping[str, Any] | None = None
    stream: bool | None = None

    # how the history is built
    prompt_caching: bool | str = True
    cache_ttl: str | None = None
    volatile_tail: int = 0
    stable_tool_order: bool = False
    padding: bool = True
    prefill: bool = False
    strict: bool = False
    fetch: Fetch | None = None
    lenient_images: bool = False
    base_model: str | None = None
    reasoning_store: Any = None

    def __post_init__(self) -> None:
        for name, (fits, expected) in _TYPES.items():
            value = getattr(self, name)
            if value is not None and not fits(value):
                raise InvalidRequestError(f"a {type(value).__name__}, expected {expected}", field=name)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_bool(value: Any) -> bool:
    return value is True or value is False


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _has_fields(value: Any) -> bool:
    return as_mapping(value) is not None


def _are_texts(value: Any) -> bool:
    return _is_list(value) and all(isinstance(item, str) for item in value)


_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("user", "prompt_cache_key", "reasoning_effort", "effort", "cache_ttl", "base_model", "bucket_owner"),
        (_is_text, "a text"),
    ),
    **dict.fromkeys(
        (
            "guard_last_turn",
            "citations",
            "stable_tool_order",
            "padding",
            "prefill",
            "strict",
            "lenient_images",
            "parallel_tool_calls",
        ),
        (_is_bool, "True or False"),
    ),
    **dict.fromkeys(("thinking_budget", "volatile_tail"), (_is_count, "a number from 0 on")),
    **dict.fromkeys(("system_tools", "additional_model_response_field_paths"), (_are_texts, "a list of texts")),
    "functions": (_is_list, "a list"),
    "fetch": (callable, "a function"),
    "reasoning_store": (lambda value: hasattr(value, "look_up") and hasattr(value, "remember"), "a ReasoningStore"),
    "anthropic_beta": (lambda value: isinstance(value, str) or _are_texts(value), "a text or a list of texts"),
    "reasoning": (lambda value: isinstance(value, (str, bool)) or _has_fields(value), "an effort or an object"),
    "output_config": (_has_fields, "an object"),
    "prompt_variables": (lambda value: isinstance(value, Mapping), "an object"),
    "prompt_caching": (lambda value: isinstance(value, bool) or value == "drop-in", "True, False or drop-in"),
}


OPTION_NAMES = frozenset(names_of(RequestOptions))

# Converse members as they arrive at the top of a body (runtimes flatten their `extra_body` there).
CONVERSE_MEMBERS = frozenset({
    "inferenceConfig", "toolConfig", "guardrailConfig", "additionalModelRequestFields", "promptVariables",
    "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig", "serviceTier", "outputConfig", "system",
})  # fmt: skip

_TRANSPORT_KEYS = frozenset({"model", "messages", "tools"})
# What an untrusted body may not reach: a callable, a Python object, the adapter's own leniencies.
_LOCAL_OPTIONS = frozenset({"fetch", "lenient_images", "reasoning_store", "extra"})


def split_body(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options in a chat-completions body (beside model, messages, tools), and the keys that nothing here knows."""
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    unknown: list[str] = []
    for key, value in body.items():
        if key in _TRANSPORT_KEYS or value is None:
            continue
        if key in CONVERSE_MEMBERS:
            extra[key] = value
        elif key in OPTION_NAMES and key not in _LOCAL_OPTIONS:
            options[key] = value
        else:
            unknown.append(key)
    if extra:
        options["extra"] = extra
    return options, unknown
