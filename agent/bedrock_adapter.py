"""The drop-in face: the names that Hermes Agent imports and patches, over the house in `bedrock/`.

This module is the composition root. Its functions look their collaborators up in this module's own globals when they are
called, because loops and test-suites patch them here, and hand clients down; inner rooms never fetch a client. Importing
it loads neither boto3, botocore nor urllib3, and of the house only what is named here without being called: the rooms
are imported by the functions that enter them. All imports are relative, so that the folder works under whatever package
holds it.
"""

from __future__ import annotations

from .bedrock.aws.cache import ClientCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .bedrock.failures import CONTEXT_OVERFLOW_PATTERNS, OVERLOAD_PATTERNS, THROTTLE_PATTERNS
    from .bedrock.models.profiles import BEDROCK_CONTEXT_LENGTHS, BEDROCK_DEFAULT_CONTEXT_LENGTH
    from .bedrock.response.completion import Completion

__all__ = [
    "BEDROCK_CONTEXT_LENGTHS",
    "BEDROCK_DEFAULT_CONTEXT_LENGTH",
    "CONTEXT_OVERFLOW_PATTERNS",
    "OVERLOAD_PATTERNS",
    "THROTTLE_PATTERNS",
    "bedrock_model_ids_or_none",
    "build_converse_kwargs",
    "call_converse",
    "call_converse_stream",
    "classify_bedrock_error",
    "convert_messages_to_converse",
    "convert_tools_to_converse",
    "discover_bedrock_models",
    "get_bedrock_context_length",
    "get_bedrock_model_ids",
    "has_aws_credentials",
    "invalidate_runtime_client",
    "is_anthropic_bedrock_model",
    "is_context_overflow_error",
    "is_stale_connection_error",
    "is_streaming_access_denied_error",
    "normalize_converse_response",
    "normalize_converse_stream_events",
    "probe_bedrock_context_length",
    "reset_client_cache",
    "reset_discovery_cache",
    "resolve_aws_auth_env_var",
    "resolve_bedrock_region",
    "stream_converse_with_callbacks",
]

_MIN_BOTO3_VERSION = (1, 34, 59)

_EMPTY_TEXT_PLACEHOLDER = "(empty)"

_bedrock_runtime_client_cache = ClientCache()
_bedrock_control_client_cache = ClientCache()

_TABLES = {
    "BEDROCK_CONTEXT_LENGTHS": "models.profiles",
    "BEDROCK_DEFAULT_CONTEXT_LENGTH": "models.profiles",
    "CONTEXT_OVERFLOW_PATTERNS": "failures",
    "OVERLOAD_PATTERNS": "failures",
    "THROTTLE_PATTERNS": "failures",
}
"""Tables that this module shows under its own name, and the room where each stands."""


def __getattr__(name: str) -> Any:
    if name not in _TABLES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".bedrock.{_TABLES[name]}", __package__), name)


# --- clients ----------------------------------------------------------------------------------------------------------


def _require_boto3() -> Any:
    """boto3, or an error that says how to get one that can stream; a version that cannot be read passes."""
    try:
        import boto3
    except ImportError as error:
        raise ImportError(
            "The 'boto3' package is required for Amazon Bedrock. Install it with: pip install boto3"
        ) from error
    version = _version_numbers(getattr(boto3, "__version__", ""))
    if version is not None and version < _MIN_BOTO3_VERSION:
        raise RuntimeError(
            f"boto3 {boto3.__version__} does not support converse_stream (1.34.59 or later does). "
            "Upgrade with: pip install --upgrade boto3"
        )
    return boto3


def _version_numbers(version: Any) -> tuple[int, ...] | None:
    parts = str(version).split(".")[:3]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else None


def _get_bedrock_runtime_client(region: str) -> Any:
    """The guarded `bedrock-runtime` client of the region, kept until credentials, endpoint or settings change."""
    from .bedrock.aws import clients
    from .bedrock.response.frames import decoder_for

    def build() -> Any:
        _require_boto3()
        return clients.build_runtime_client(region, decoder_for=decoder_for)

    return _bedrock_runtime_client_cache.get_or_build(region, clients.fingerprint(), build)


def _get_bedrock_control_client(region: str) -> Any:
    """The `bedrock` control-plane client of the region, kept likewise."""
    from .bedrock.aws import clients

    def build() -> Any:
        _require_boto3()
        return clients.build_control_client(region)

    return _bedrock_control_client_cache.get_or_build(region, clients.fingerprint(), build)


def reset_client_cache() -> None:
    """Forget all clients; streams in flight live on."""
    _bedrock_runtime_client_cache.clear()
    _bedrock_control_client_cache.clear()


def invalidate_runtime_client(region: str) -> bool:
    """Forget the region's runtime client; whether there was one. Streams in flight live on."""
    return _bedrock_runtime_client_cache.evict(region)


# --- credentials and region -------------------------------------------------------------------------------------------


def resolve_aws_auth_env_var(env: Mapping[str, str] | None = None) -> str | None:
    """The variable that credentials come from, "iam-role" where botocore's chain found some, None where nothing is."""
    from .bedrock.aws.credentials import auth_env_var

    return auth_env_var(env)


def has_aws_credentials(env: Mapping[str, str] | None = None) -> bool:
    """Whether any source of credentials is there."""
    return resolve_aws_auth_env_var(env) is not None


def resolve_bedrock_region(env: Mapping[str, str] | None = None) -> str:
    """AWS_REGION, AWS_DEFAULT_REGION, the profile's region, us-east-1."""
    from .bedrock.aws.credentials import DEFAULT_REGION, resolve_region

    return resolve_region(environ=env, default=DEFAULT_REGION)


# --- request ----------------------------------------------------------------------------------------------------------


def build_converse_kwargs(
    model: str,
    messages: Sequence[Any],
    tools: Sequence[Any] | None = None,
    max_tokens: int | None = 4096,
    temperature: float | None = None,
    top_p: float | None = None,
    stop_sequences: Sequence[str] | None = None,
    guardrail_config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Keyword arguments for boto3's `converse` and `converse_stream`; `max_tokens=None` sends no cap.

    Those of one conversation share their content blocks: put others in their place instead of changing them.
    """
    from .bedrock.carriers import REMEMBERED
    from .bedrock.faces.behind import base_model_of
    from .bedrock.faces.client import notes_of
    from .bedrock.faces.environment import call_options, prompt_caching
    from .bedrock.notes import ALIASES, noted
    from .bedrock.request.build import build_request
    from .bedrock.request.memory import CONVERSATIONS

    options = call_options()
    if guardrail_config:
        options["guardrail_config"] = guardrail_config
    request = build_request(
        model,
        messages,
        tools,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        stop_sequences=stop_sequences,
        prompt_caching="drop-in" if prompt_caching() else False,
        lenient_images=True,
        reasoning_store=REMEMBERED,
        base_model=base_model_of(model, _get_bedrock_control_client),
        memory=CONVERSATIONS,
        **options,
    )
    ALIASES.remember(request.tool_names)
    return {**request.kwargs, "messages": noted(request.kwargs["messages"], notes_of(model, request))}


def convert_messages_to_converse(messages: Sequence[Any]) -> tuple[list[dict[str, Any]] | None, list[dict[str, Any]]]:
    """`(system blocks or None, Converse messages)`, for no model in particular."""
    from .bedrock.models.profiles import PERMISSIVE
    from .bedrock.request.context import Context
    from .bedrock.request.messages import convert_messages
    from .bedrock.request.options import RequestOptions

    options = RequestOptions(prompt_caching=False, lenient_images=True)
    return convert_messages(messages, Context("", PERMISSIVE, options))


def convert_tools_to_converse(tools: Sequence[Any] | None) -> list[dict[str, Any]]:
    """`[{"toolSpec": ...}]`, empty for no tools."""
    from .bedrock.request.tools import convert_tools

    return convert_tools(tools)


def _convert_content_to_converse(content: Any) -> list[dict[str, Any]]:
    """The content blocks of one message's content; blank content becomes a placeholder."""
    _, turns = convert_messages_to_converse([{"role": "user", "content": content}])
    blocks: list[dict[str, Any]] = turns[0]["content"]
    return blocks


def _safe_text(text: Any) -> str:
    """The text, or a placeholder for what the service would call blank."""
    shown = "" if text is None else str(text)
    return shown if shown.strip() else _EMPTY_TEXT_PLACEHOLDER


# --- response ---------------------------------------------------------------------------------------------------------


def normalize_converse_response(response: Mapping[str, Any]) -> Completion:
    """The completion of a whole answer; raises TruncatedResponseError where it has no output or stop reason."""
    from .bedrock.chat import complete
    from .bedrock.notes import notes_of_answer

    return _remembered(complete(response, notes_of_answer(response), tool_names=_names_of(response)))


def normalize_converse_stream_events(event_stream: Any) -> Completion:
    """The same completion from a whole stream."""
    return stream_converse_with_callbacks(event_stream)


def stream_converse_with_callbacks(
    event_stream: Any,
    on_text_delta: Callable[[str], Any] | None = None,
    on_tool_start: Callable[[str], Any] | None = None,
    on_reasoning_delta: Callable[[str], Any] | None = None,
    on_interrupt_check: Callable[[], Any] | None = None,
    on_event: Callable[[], Any] | None = None,
) -> Completion:
    """Read a stream to its end, telling the callbacks; text is no longer told once a tool call has begun.

    `event_stream` is `converse_stream()`'s answer, or any iterable of its events. An interrupt gives the completion of
    what came, with `bedrock.interrupted`; a stream without `messageStop` raises TruncatedResponseError.
    """
    from .bedrock.chat import ChatStream
    from .bedrock.faces.callbacks import Callbacks
    from .bedrock.notes import notes_of_answer

    watch = Callbacks(
        on_text_delta=on_text_delta,
        on_tool_start=on_tool_start,
        on_reasoning_delta=on_reasoning_delta,
        on_interrupt_check=on_interrupt_check,
        on_event=on_event,
        text_after_tools=False,
    ).watch()
    notes = notes_of_answer(event_stream)
    return _remembered(ChatStream(event_stream, notes, watch=watch, tool_names=_names_of(event_stream)).completion())


def _remembered(completion: Completion) -> Completion:
    """The completion, its reasoning kept for the turn that brings the tool results: loops keep text and calls only."""
    from .bedrock.carriers import REMEMBERED

    message: Any = completion.message  # read like a mapping, which it is in all but name
    REMEMBERED.remember(message)
    return completion


def _names_of(answer: Any) -> Any:
    """The tool names that came with the answer, else what the process remembers of its aliases."""
    from .bedrock.notes import ALIASES, notes_of_answer

    return notes_of_answer(answer).tool_names or ALIASES


def _converse_stop_reason_to_openai(stop_reason: str) -> str:
    """OpenAI's finish reason; "stop" for an unknown one."""
    from .bedrock.response.completion import finish_reason

    return finish_reason(stop_reason)


# --- the two calls ----------------------------------------------------------------------------------------------------


def call_converse(
    region: str,
    model: str,
    messages: Sequence[Any],
    tools: Sequence[Any] | None = None,
    max_tokens: int | None = 4096,
    temperature: float | None = None,
    top_p: float | None = None,
    stop_sequences: Sequence[str] | None = None,
    guardrail_config: Mapping[str, Any] | None = None,
) -> Completion:
    """One whole answer."""
    kwargs = build_converse_kwargs(
        model, messages, tools, max_tokens, temperature, top_p, stop_sequences, guardrail_config
    )
    from .bedrock.aws.calls import converse

    return _call(region, converse, normalize_converse_response, kwargs)


def call_converse_stream(
    region: str,
    model: str,
    messages: Sequence[Any],
    tools: Sequence[Any] | None = None,
    max_tokens: int | None = 4096,
    temperature: float | None = None,
    top_p: float | None = None,
    stop_sequences: Sequence[str] | None = None,
    guardrail_config: Mapping[str, Any] | None = None,
) -> Completion:
    """One answer, read as a stream; falls back to a whole one where streaming is denied."""
    kwargs = build_converse_kwargs(
        model, messages, tools, max_tokens, temperature, top_p, stop_sequences, guardrail_config
    )
    from .bedrock.aws.calls import open_stream

    return _call(region, open_stream, normalize_converse_stream_events, kwargs)


def _call(
    region: str, call: Callable[..., Any], normalize: Callable[[Any], Completion], kwargs: dict[str, Any]
) -> Completion:
    """Call and normalize; a stale connection costs the region its client, and the error goes on unchanged."""
    from .bedrock.chat import telling_what_came
    from .bedrock.notes import notes_of_request

    client = _get_bedrock_runtime_client(region)
    try:
        with telling_what_came(notes_of_request(kwargs)):
            answer = call(client, kwargs)
        return normalize(answer)
    except Exception as error:
        if is_stale_connection_error(error):
            _logger().warning("region=%s error=%s | evicted the cached client", region, type(error).__name__)
            invalidate_runtime_client(region)
        raise


# --- models -----------------------------------------------------------------------------------------------------------


def is_anthropic_bedrock_model(model_id: str) -> bool:
    """Whether the id, with any geographic prefix, names a Claude model."""
    from .bedrock.models.ids import split_model_id

    identity = split_model_id(model_id)
    return identity.provider == "anthropic" and identity.name.startswith("claude")


def _model_supports_tool_use(model_id: str) -> bool:
    """Whether the model can call tools; unknown ones are trusted to."""
    from .bedrock.models.profiles import profile_for

    return profile_for(model_id).tools


def _extract_provider_from_arn(arn: str) -> str:
    """The provider of a foundation model's ARN, "" for another."""
    from .bedrock.aws.catalog import provider_from_arn

    return provider_from_arn(arn)


def discover_bedrock_models(region: str, provider_filter: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Active text models that stream, then active inference profiles; what there is when something fails."""
    from .bedrock.aws.catalog import DISCOVERED

    return DISCOVERED.discover(region, provider_filter, lambda: _get_bedrock_control_client(region))


def get_bedrock_model_ids(region: str) -> list[str]:
    """The ids of `discover_bedrock_models`."""
    return [model["id"] for model in discover_bedrock_models(region)]


def bedrock_model_ids_or_none() -> list[str] | None:
    """The ids for the active region, None where discovery found nothing."""
    try:
        return get_bedrock_model_ids(resolve_bedrock_region()) or None
    except Exception as error:  # noqa: BLE001 - a model picker asks; whatever ails, it falls back to its own list
        _logger().debug("error=%s | model discovery failed", type(error).__name__)
        return None


def reset_discovery_cache() -> None:
    """Forget what discovery found."""
    from .bedrock.aws.catalog import DISCOVERED

    DISCOVERED.clear()


def get_bedrock_context_length(model_id: str, region: str = "", probe: bool = True) -> int:
    """The context window in tokens: the longest matching row, else what a probe says, else the default."""
    from .bedrock.models.profiles import BEDROCK_DEFAULT_CONTEXT_LENGTH, known_context_length

    known = known_context_length(model_id)
    if known is not None:
        return known
    probed = probe_bedrock_context_length(model_id, region) if probe and region else None
    return probed or BEDROCK_DEFAULT_CONTEXT_LENGTH


def probe_bedrock_context_length(model_id: str, region: str) -> int | None:
    """The window that the service names when it refuses a long prompt; at most 64 kB are sent, so mostly None."""
    from .bedrock.aws.catalog import probe_context_length

    try:
        client = _get_bedrock_runtime_client(region)
    except Exception as error:  # noqa: BLE001 - a probe answers None, whatever ails the client
        _logger().debug("region=%s error=%s | no client for a context probe", region, type(error).__name__)
        return None
    return probe_context_length(client, model_id)


# --- errors -----------------------------------------------------------------------------------------------------------


def is_stale_connection_error(exc: BaseException) -> bool:
    """Whether a dead connection of botocore or urllib3 is to blame, so that the region's client is to be evicted."""
    from .bedrock import errors

    return errors.is_stale_connection_error(exc)


def is_streaming_access_denied_error(exc: BaseException) -> bool:
    """Whether IAM denies InvokeModelWithResponseStream, so that a whole answer may still be had."""
    from .bedrock import errors

    return errors.is_streaming_access_denied_error(exc)


def is_context_overflow_error(error_message: str) -> bool:
    """Whether the text says that the prompt is too long for the model."""
    return classify_bedrock_error(error_message) == "context_overflow"


def classify_bedrock_error(error_message: str) -> str:
    """One of "context_overflow", "rate_limit", "overloaded" or "unknown", from the text alone."""
    from .bedrock.errors import classify_text

    return classify_text(error_message)


def _logger() -> Any:
    import logging

    return logging.getLogger(__name__)
