"""The two calls, on whatever client is handed in: a guarded one, a plain boto3 client or a mock.

In come Converse kwargs, out goes boto3's answer. Where a stream cannot be opened for this caller or this model, the whole
answer is asked for and told as a stream, so that whoever reads events notices nothing. Nothing is retried here, and no
exception is changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import is_streaming_access_denied_error, is_streaming_unsupported_error

logger = logging.getLogger(__name__)

Event = dict[str, Any]


def converse(client: Any, kwargs: Mapping[str, Any]) -> Any:
    """The whole answer."""
    return client.converse(**kwargs)


def open_stream(client: Any, kwargs: Mapping[str, Any]) -> Any:
    """The answer of `converse_stream`, or one of the same shape made of a whole answer where streaming is refused."""
    try:
        return client.converse_stream(**kwargs)
    except Exception as exc:
        if not cannot_stream(exc):
            raise
        logger.warning("model=%s | cannot be streamed, asking for a whole answer instead", kwargs.get("modelId"))
    return open_whole(client, kwargs)


def open_whole(client: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of the shape of `converse_stream`'s, made of a whole one."""
    return streamed(converse(client, whole_kwargs(kwargs)))


def cannot_stream(exc: BaseException) -> bool:
    """Whether a refusal is of streaming only, so that a whole answer may be had."""
    return is_streaming_access_denied_error(exc) or is_streaming_unsupported_error(exc)


def whole_kwargs(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Kwargs of `converse_stream` as `converse` takes them: a guardrail's way of streaming is no member of its."""
    guardrail = kwargs.get("guardrailConfig")
    if not isinstance(guardrail, Mapping) or "streamProcessingMode" not in guardrail:
        return dict(kwargs)
    return {
        **kwargs,
        "guardrailConfig": {name: guardrail[name] for name in guardrail if name != "streamProcessingMode"},
    }


# --- a whole answer told as a stream ----------------------------------------------------------------------------------


def streamed(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of `converse` in the shape of `converse_stream`'s, metadata of the call included."""
    told: dict[str, Any] = {"stream": stream_from_answer(answer)}
    if "ResponseMetadata" in answer:
        told["ResponseMetadata"] = answer["ResponseMetadata"]
    return told


def stream_from_answer(answer: Mapping[str, Any]) -> Iterator[Event]:
    """The stream events that a whole answer could have come as; one that is not complete has no `messageStop` either."""
    message = (answer.get("output") or {}).get("message") or {}
    yield {"messageStart": {"role": message.get("role", "assistant")}}
    for index, block in enumerate(message.get("content") or ()):
        yield from _block_events(index, block)
    if answer.get("stopReason"):
        yield {"messageStop": _members(answer, ("stopReason", "additionalModelResponseFields"))}
    metadata = _members(answer, ("usage", "metrics", "trace", "performanceConfig", "serviceTier"))
    if metadata:
        yield {"metadata": metadata}


def _members(answer: Mapping[str, Any], names: tuple[str, ...]) -> Event:
    return {name: answer[name] for name in names if name in answer}


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[Event]:
    for kind, value in block.items():
        tell = _TELLERS.get(kind)
        # What a stream has no form for keeps its own name, so that the decoder counts it among the unknown.
        start, deltas = tell(value) if tell is not None else (None, [{kind: value}])
        if start is not None:
            yield {"contentBlockStart": {"start": start, "contentBlockIndex": index}}
        for delta in deltas:
            yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}
    yield {"contentBlockStop": {"contentBlockIndex": index}}


_Told = tuple[Event | None, list[Event]]


def _tell_reasoning(value: Mapping[str, Any]) -> _Told:
    reasoning = value.get("reasoningText") or {}
    told: list[Event] = [{"reasoningContent": {"text": reasoning["text"]}}] if "text" in reasoning else []
    if reasoning.get("signature"):
        told.append({"reasoningContent": {"signature": reasoning["signature"]}})
    if value.get("redactedContent"):
        told.append({"reasoningContent": {"redactedContent": value["redactedContent"]}})
    return None, told


def _tell_tool_use(value: Mapping[str, Any]) -> _Told:
    head = {name: value[name] for name in value if name != "input"}
    arguments = value.get("input")
    text = arguments if isinstance(arguments, str) else json.dumps({} if arguments is None else arguments)
    return {"toolUse": head}, [{"toolUse": {"input": text}}]


def _tell_tool_result(value: Mapping[str, Any]) -> _Told:
    head = {name: value[name] for name in value if name != "content"}
    return {"toolResult": head}, [{"toolResult": list(value.get("content") or ())}]


def _tell_citations(value: Mapping[str, Any]) -> _Told:
    texts: list[Event] = [{"text": part.get("text", "")} for part in value.get("content") or ()]
    return None, texts + [{"citation": citation} for citation in value.get("citations") or ()]


def _tell_image(value: Mapping[str, Any]) -> _Told:
    rest = {name: value[name] for name in value if name != "format"}
    return {"image": {"format": value.get("format", "")}}, [{"image": rest}]


_TELLERS: dict[str, Callable[[Any], _Told]] = {
    "text": lambda text: (None, [{"text": text}]),
    "reasoningContent": _tell_reasoning,
    "toolUse": _tell_tool_use,
    "toolResult": _tell_tool_result,
    "citationsContent": _tell_citations,
    "image": _tell_image,
}
